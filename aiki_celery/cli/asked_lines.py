"""What a run was asked for, as text."""

from __future__ import annotations

from pydantic_core import from_json

from aiki_celery.cli.moments import moment
from aiki_celery.model.records import RunView, StepRecord
from aiki_celery.model.status import StepKind


def asked(run: RunView) -> dict[str, str | None]:
    """Give the facts about what a run was asked for, and has until when."""
    return {
        "deadline": None if run.deadline_at is None else moment(run.deadline_at),
        "asked": "to pause after the step it is at" if run.control == "pause" else _cancelled(run),
    }


def asked_line(step: StepRecord) -> str:
    """Give the text of a record that says what the run was asked for."""
    if step.kind is StepKind.WAKE:
        return f"sleep {step.name!r} ended by hand: that of {step.value}"
    reason = from_json(step.value or '""')
    return "cancelled" + (f": {reason}" if reason else "") + "; what follows is clean-up"


def _cancelled(run: RunView) -> str | None:
    if run.cancelled_at is None or run.status.is_terminal:
        return None
    reason = f": {run.cancel_reason}" if run.cancel_reason else ""
    return f"to end, {moment(run.cancelled_at)}{reason}"
