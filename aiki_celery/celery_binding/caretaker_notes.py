"""What the worker's event loop leaves for the caretaker's thread, so that the loop never waits for the database."""

from __future__ import annotations

import queue
import threading
from typing import TypeVar

T = TypeVar("T")


class CaretakerNotes:
    """Four queues and a bell. Safe to write from any thread and from the event loop."""

    def __init__(self) -> None:
        self.bell = threading.Event()
        self._confirmed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._timed_out: queue.SimpleQueue[tuple[str, int, float]] = queue.SimpleQueue()
        self._lost: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._revoked: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def confirm(self, run_id: str) -> None:
        """Note that Celery has told everybody of a run's end."""
        self._confirmed.put(run_id)
        self.bell.set()

    def time_out(self, run_id: str, pid: int | None, limit: float) -> None:
        """Note that a hard time limit (seconds) ended a run's process."""
        self._timed_out.put((run_id, pid or 0, limit))
        self.bell.set()

    def lose(self, pid: int | None, run_id: str) -> None:
        """Note that a process has died over a message about a run."""
        self._lost.put((pid or 0, run_id))
        self.bell.set()

    def revoke(self, run_id: str, why: str) -> None:
        """Note that a Celery task which a workflow has started was revoked, or has expired."""
        self._revoked.put((run_id, why))
        self.bell.set()

    def take_confirmed(self) -> list[str]:
        """Take the runs that are confirmed."""
        return _drained(self._confirmed)

    def take_timed_out(self) -> list[tuple[str, int, float]]:
        """Take the runs that were timed out: id, process, limit in seconds."""
        return _drained(self._timed_out)

    def take_lost(self) -> list[tuple[int, str]]:
        """Take the processes that have died, with the run whose message each was working on."""
        return _drained(self._lost)

    def take_revoked(self) -> list[tuple[str, str]]:
        """Take the started Celery tasks that were revoked, with the reason of each."""
        return _drained(self._revoked)


def _drained(source: queue.SimpleQueue[T]) -> list[T]:
    taken: list[T] = []
    while True:
        try:
            taken.append(source.get_nowait())
        except queue.Empty:
            return taken
