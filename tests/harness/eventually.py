"""Waiting for a condition, with a deadline and a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T], timeout: float = 10.0, what: str = "", *, interval: float = 0.05
) -> T:
    """Calls `condition` until it returns something true, and returns that.

    Args:
        condition: Asked at once, then every `interval` seconds. An `AssertionError` it raises counts as "not
            yet", so that a helper full of assertions can be waited for; any other exception ends the wait.
        timeout: Seconds until it gives up.
        what: What is waited for, in words; shown when it does not come.
        interval: Seconds between two questions.

    Raises:
        AssertionError: The deadline passed; says what was waited for and the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: object = (value := condition())
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            awaited = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"waited {timeout:g} s for {awaited}; last seen: {last!r}")
        time.sleep(interval)
