"""Notices at once that a process of the pool has died; with some transports Celery itself takes up to ten seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable


class PoolWatch:
    """Watches the processes of a prefork pool.

    Args:
        pids: Gives the process ids the pool has now.
        collect: Makes the pool look after its processes now; safe to call from any thread.
    """

    def __init__(
        self, pids: Callable[[], Iterable[int]], collect: Callable[[], object] = lambda: None
    ) -> None:
        self._pids = pids
        self._collect = collect
        self._known: set[int] = set()

    def take_dead(self) -> set[int]:
        """Give the processes that have ended since the last look."""
        current = {pid for pid in self._pids() if pid}
        ended = {pid for pid in current if _has_ended(pid)}
        dead = (self._known - current) | (self._known & ended) | ended
        self._known = current - ended
        if ended:
            # Celery may have looked a moment too early, and would look again after five seconds; until then it hands
            # messages to the dead.
            self._collect()
        return dead


def _has_ended(pid: int) -> bool:
    """Look whether a child has ended, leaving its exit status for the pool to collect."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
