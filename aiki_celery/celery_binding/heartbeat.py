"""Says, from a thread of its own, that a worker is alive: nothing else may hold that up."""

from __future__ import annotations

import logging
import os
import threading

from aiki_celery.journal.journal import Journal

logger = logging.getLogger("aiki_celery.heartbeat")


class Heartbeat:
    """Keeps one worker's row alive.

    Args:
        journal: Where the row is.
        worker_id: Id of the worker.
        hostname: Its name, for people.
        interval: Seconds between two beats.
        info: JSON text about the worker, for people.
    """

    def __init__(
        self, journal: Journal, worker_id: str, hostname: str, interval: float, info: str | None = None
    ) -> None:
        self._journal = journal
        self._facts = (worker_id, hostname, os.getpid(), info)
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aiki-heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, so that the row is there before the first claim, and go on from a thread.

        Raises:
            JournalUnavailable: The first beat did not reach the database.
        """
        self._journal.ensure_ready()
        self._journal.workers.beat(*self._facts)
        self._thread.start()

    def end(self) -> None:
        """Stop, and take the row away. Does nothing in a forked child or the second time."""
        if self._stop.is_set() or os.getpid() != self._facts[2]:
            return
        self._stop.set()
        self._thread.join(timeout=5)
        try:
            self._journal.workers.remove(self._facts[0])
        except Exception as error:
            logger.warning("The row of worker %s stays until it is swept away: %s", self._facts[0], error)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._journal.workers.beat(*self._facts)
            except Exception as error:
                logger.warning("A heartbeat of worker %s failed: %s", self._facts[0], error)
