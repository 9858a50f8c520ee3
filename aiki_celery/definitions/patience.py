"""How to wait for a run: by looking at growing intervals, until a deadline."""

from __future__ import annotations

import time
from datetime import timedelta

from aiki_celery.model.records import RunView

#: Shortest pause between two looks, in seconds.
SHORTEST = 0.002


class Patience:
    """One wait, from now on.

    Args:
        timeout: How long to wait at most, a ``timedelta`` or seconds; None waits for ever.
        longest: Longest pause between two looks, in seconds.
    """

    def __init__(self, timeout: timedelta | float | None, longest: float = 0.25) -> None:
        self._timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._longest = longest
        self._begun = time.monotonic()

    def pause(self, run: RunView) -> float:
        """Give the seconds until the next look at a run that is not over.

        A tenth of what it has taken so far: nobody hears of the end much later than it was.

        Raises:
            TimeoutError: The time is over; says what the run is doing.
        """
        waited = time.monotonic() - self._begun
        pause = min(max(SHORTEST, 0.1 * waited), self._longest)
        if self._timeout is None:
            return pause
        left = self._timeout - waited
        if left <= 0:
            why = f" ({run.reason})" if run.reason else ""
            raise TimeoutError(
                f"run {run.id} of {run.workflow} is {run.status}{why} after {self._timeout:g} s"
            )
        return min(pause, left)
