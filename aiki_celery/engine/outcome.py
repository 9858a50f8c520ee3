"""How a pass ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from aiki_celery.engine.current_pass import Pass
from aiki_celery.errors import ClaimLost, RunSuspended
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.run")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended.

    Attributes:
        status: The run's state now; None when this pass lost the run, ``exception`` says how.
        output: JSON text of the result, of a completed run.
        error: JSON text of the error, of a failed or stalled run.
        exception: The exception itself, where this very pass raised it.
        due_at: When a waiting run goes on, in microseconds.
    """

    status: RunStatus | None
    output: str | None = None
    error: str | None = None
    exception: BaseException | None = None
    due_at: int | None = None


def over(current: Pass) -> Outcome:
    """Say how a pass ended that is settled already, or that lost its run."""
    if isinstance(current.over, RunSuspended):
        return Outcome(current.settled_as, due_at=current.due_at)
    logger.warning("%s", current.over)
    return Outcome(None, exception=current.over)


def release(current: Pass) -> None:
    """Let somebody else have the run at once: the process is being ended under it."""
    try:
        current.hand_over("its worker process was ended")
    except (RunSuspended, ClaimLost):
        return
