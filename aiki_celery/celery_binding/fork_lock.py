"""Keeps a process from forking while one of its threads is in the middle of something.

A forked child has the locks of its parent as they were, but not the threads that would release them. The worker forks
whenever its pool replaces a process; its caretaker must not be publishing a message at that moment.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from types import TracebackType

#: Longest time that a fork waits, in seconds: better a small risk than a worker that stands still.
WAIT = 5.0

_locks: weakref.WeakSet[ForkLock] = weakref.WeakSet()
_taken: list[ForkLock] = []


class ForkLock:
    """Held by a thread while it must not be cut off by a fork: ``with lock: ...``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)
        _register()

    def __enter__(self) -> None:
        """Begin; waits while the process forks."""
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._lock.release()

    def take(self) -> bool:
        """Before a fork: wait for the thread; tell whether it has ended in time."""
        return self._lock.acquire(timeout=WAIT)

    def give(self) -> None:
        """After a fork, in the parent: let the thread go on."""
        self._lock.release()

    def renew(self) -> None:
        """After a fork, in the child: forget the thread, which is not here."""
        self._lock = threading.Lock()


def _before() -> None:
    _taken[:] = [lock for lock in list(_locks) if lock.take()]


def _in_parent() -> None:
    while _taken:
        _taken.pop().give()


def _in_child() -> None:
    _taken.clear()
    for lock in list(_locks):
        lock.renew()


@functools.cache
def _register() -> None:
    """Listen to forks, from the first lock on.

    What listens last is asked first before a fork. So this is not done on import: the thread must come to its end while
    the journal and the embedded broker still let it in, and these listen since they were imported.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
