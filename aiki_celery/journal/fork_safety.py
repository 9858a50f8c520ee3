"""What happens to the journal's connections when the process forks, as a prefork worker does.

A connection to a server must not be shared: the child forgets its copies, without closing them for the parent.

SQLite asks for more. It keeps its own list of the file locks a process holds, and a child would inherit that list but
not the locks. So every idle connection to a SQLite file is closed before the fork, which waits for statements that
other threads have under way; see "How To Corrupt An SQLite Database File", section 2.6.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence

from sqlalchemy import Engine

logger = logging.getLogger("aiki_celery.journal")

#: Longest time that a fork waits for other threads' statements, in seconds.
WAIT = 5.0

_gates: weakref.WeakSet[ForkGate] = weakref.WeakSet()


class ForkGate:
    """Knows which threads are using a database's connections, and lets nobody in while the process forks.

    Args:
        engines: The journal's engines of one database.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = list(engines)
        self._closes_first = engines[0].dialect.name == "sqlite"
        self._reset()
        _gates.add(self)

    def enter(self) -> None:
        """Note that this thread is about to use a connection; waits while the process forks."""
        with self._changed:
            me = threading.get_ident()
            # A thread that has one connection already is let finish.
            while self._is_closing and me not in self._users:
                self._changed.wait()
            self._users[me] = self._users.get(me, 0) + 1

    def leave(self) -> None:
        """Note that this thread has given a connection back."""
        with self._changed:
            me = threading.get_ident()
            left = self._users.get(me, 0) - 1
            if left > 0:
                self._users[me] = left
            else:
                self._users.pop(me, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Before a fork: let nobody in, and close SQLite's idle connections once other threads are done."""
        self._changed.acquire()
        self._is_closing = True
        if not self._closes_first:
            return
        deadline = time.monotonic() + WAIT
        while self._is_used_by_others() and time.monotonic() < deadline:
            self._changed.wait(0.05)
        if self._is_used_by_others():
            logger.warning("The process forks while a thread uses the journal; the child must not use it.")
        self.dispose()

    def open_in_parent(self) -> None:
        """After a fork, in the parent: let threads in again."""
        self._is_closing = False
        self._changed.notify_all()
        self._changed.release()

    def open_in_child(self) -> None:
        """After a fork, in the child: forget the parent's connections, and the threads that are not here."""
        self.dispose(close=False)
        self._reset()

    def dispose(self, *, close: bool = True) -> None:
        """Empty the pools, closing their connections or forgetting them."""
        for engine in self._engines:
            engine.dispose(close=close)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._users: dict[int, int] = {}
        self._is_closing = False

    def _is_used_by_others(self) -> bool:
        me = threading.get_ident()
        return any(thread != me for thread in self._users)


_closed: list[ForkGate] = []


def _before() -> None:
    _closed[:] = list(_gates)
    for gate in _closed:
        gate.close()


def _in_parent() -> None:
    for gate in _closed:
        gate.open_in_parent()


def _in_child() -> None:
    for gate in _closed:
        gate.open_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
