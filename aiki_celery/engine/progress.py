"""``run.progress(...)``: one small write, and not too many of them."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from aiki_celery.engine.current_pass import Pass
from aiki_celery.errors import InputInvalid
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.progress import write_progress

#: Seconds between two writes; what is said in between is written when the run next waits or ends.
GAP = 0.2

#: Longest message kept, in characters.
MAX_MESSAGE = 500


def tell_progress(current: Pass, done: Any, total: Any, message: Any) -> None:
    """Write how far the run has come, unless it replays.

    Raises:
        InputInvalid: A number is none, negative or not finite; or the message is no text.
        ClaimLost: The run was taken over.
    """
    told = _number(current, "done", done), None if total is None else _number(current, "total", total)
    if not isinstance(message, str):
        raise InputInvalid(current.claim.workflow, "message", f"must be text, not {message!r:.60}")
    if current.record.is_replaying:
        return
    now = current.clock.now()
    current.progress = write_progress(*told, message[:MAX_MESSAGE], now)
    if now - current.progress_at >= GAP * MICROSECOND:
        current.flush_progress()
        current.progress_at = now


def _number(current: Pass, argument: str, value: Any) -> float:
    """Give a number as an int or a float."""
    if not _is_number(type(value)):
        raise InputInvalid(current.claim.workflow, argument, f"must be a number, not {value!r:.60}")
    number: float = value if isinstance(value, int) else float(value)
    try:
        is_good = number >= 0 and math.isfinite(number)
    except OverflowError:
        is_good = False
    if not is_good:
        raise InputInvalid(current.claim.workflow, argument, f"must be zero or more, not {value!r:.60}")
    return number


def _is_number(kind: type) -> bool:
    """Tell whether a type is of numbers; numpy's are, too."""
    return kind is not bool and issubclass(kind, Real)
