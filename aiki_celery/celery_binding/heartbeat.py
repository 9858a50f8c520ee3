"""Says, from a thread of its own, that a worker is alive: nothing else may hold that up."""

from __future__ import annotations

import logging
import os
import threading
import time

from aiki_celery.journal.journal import Journal

logger = logging.getLogger("aiki_celery.heartbeat")

#: Seconds within which whoever waits for the database tries again, at the latest.
LONGEST_WAIT = 2.0


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
        self._beat_at, self._since = _both_clocks(), time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aiki-heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, so that the row is there before the first claim, and go on from a thread.

        Raises:
            JournalUnavailable: The first beat did not reach the database.
        """
        self._journal.ensure_ready()
        self._journal.workers.beat(*self._facts)
        now = time.monotonic()
        had_to_wait = now - self._since > LONGEST_WAIT
        self._beat_at = _both_clocks()
        # Who had to wait for the database does not know for how long the others had to.
        self._since = now if had_to_wait else float("-inf")
        self._thread.start()

    @property
    def is_steady(self) -> bool:
        """Whether the beats have come on time of late: only then does another's silence mean that it is dead.

        After the database was away, or this machine asleep, each row is as old as our own; whoever is alive beats
        again within an interval.
        """
        is_long_enough = time.monotonic() - self._since > self._interval + LONGEST_WAIT
        return self._silence() < 2 * self._interval and is_long_enough

    def _silence(self) -> float:
        """Give the seconds since the last beat, by the clock that has gone further: one stands still in a sleep."""
        return max(now - then for now, then in zip(_both_clocks(), self._beat_at, strict=True))

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
                if self._silence() > 2 * self._interval:
                    self._since = time.monotonic()
                self._beat_at = _both_clocks()
            except Exception as error:
                logger.warning("A heartbeat of worker %s failed: %s", self._facts[0], error)


def _both_clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()
