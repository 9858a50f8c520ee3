"""The time in the transport's tables."""

import time

SECOND = 1_000_000


def now() -> int:
    """Return the microseconds since 1970 (UTC): SQLite has no clock but that of its machine."""
    return time.time_ns() // 1000


def microseconds(seconds: float) -> int:
    """Return a duration as the tables hold it."""
    return round(seconds * SECOND)
