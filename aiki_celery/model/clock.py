"""Time comes from one clock, the database's.

Instants are whole microseconds since 1970-01-01T00:00Z, in every table and record, so that they compare and add the
same way on every database. They become aware UTC ``datetime`` objects where a user sees them.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Protocol

MICROSECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Clock(Protocol):
    """Tells the time, and passes it."""

    def now(self) -> int:
        """Give the current instant in microseconds."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class AnchoredClock:
    """The database's clock, carried on by the monotonic clock of this process between two looks at it.

    Args:
        now: The instant the database told, in microseconds, just now.
    """

    __slots__ = ("_offset",)

    def __init__(self, now: int) -> None:
        self._offset = now - time.monotonic_ns() // 1000

    def now(self) -> int:
        """Give the current instant in microseconds."""
        return time.monotonic_ns() // 1000 + self._offset

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""
        time.sleep(seconds)


def to_datetime(instant: int) -> datetime:
    """Turn an instant in microseconds into an aware UTC ``datetime``."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> int:
    """Turn an aware ``datetime`` into an instant in microseconds.

    Raises:
        ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment!r} has no time zone; use an aware datetime such as datetime.now(timezone.utc)"
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_seconds(duration: timedelta | float) -> float:
    """Turn a duration given as ``timedelta`` or seconds into seconds.

    Raises:
        ValueError: The duration is negative or not a number.
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration must be zero or more seconds, not {duration!r}")
    return seconds
