"""Time comes from one clock, the database's.

Instants are whole microseconds since 1970-01-01T00:00Z, in every table and record, so that they compare and add the
same way on every database. They become aware UTC ``datetime`` objects where a user sees them.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Protocol

MICROSECOND = 1_000_000

#: Longest duration, in seconds: added to any instant, it still fits the journal's columns.
LONGEST = 1000 * 366 * 86_400

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=timezone.utc) - _EPOCH) // timedelta(microseconds=1)


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
    """Turn an instant in microseconds into an aware UTC ``datetime``; beyond the year 9999, into the last one."""
    return _EPOCH + timedelta(microseconds=min(max(instant, _FIRST), _LAST))


def from_datetime(moment: datetime) -> int:
    """Turn an aware ``datetime`` into an instant in microseconds.

    Raises:
        ValueError: ``moment`` is no ``datetime``, or has no time zone.
    """
    if not isinstance(moment, datetime):
        raise ValueError(f"{moment!r:.60} is no datetime; use one such as datetime.now(timezone.utc)")
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment!r} has no time zone; use an aware datetime such as datetime.now(timezone.utc)"
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_seconds(duration: timedelta | float) -> float:
    """Turn a duration given as ``timedelta`` or seconds into seconds.

    Raises:
        ValueError: The duration is negative, longer than 1,000 years, or none.
    """
    try:
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    except OverflowError:  # a whole number that no float can hold
        seconds = float("inf") if duration > 0 else -1.0  # type: ignore[operator]
    except (TypeError, ValueError):
        raise ValueError(f"a duration must be a timedelta or seconds, not {duration!r:.60}") from None
    if not seconds >= 0:
        raise ValueError(f"a duration must be zero or more seconds, not {duration!r:.60}")
    if seconds > LONGEST:
        raise ValueError(f"a duration must be 1,000 years at most, not {duration!r:.60}")
    return seconds
