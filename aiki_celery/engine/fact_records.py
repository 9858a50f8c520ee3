"""Records of what the code has learned or waits for by itself, without a task: sleeps, instants, choices, events."""

from __future__ import annotations

from aiki_celery.engine.pass_state import PassState
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus


def new_fact(
    current: PassState,
    kind: StepKind,
    name: str,
    address: str | None = None,
    *,
    now: int | None = None,
    status: StepStatus = StepStatus.COMPLETED,
    value: str | None = None,
    due_at: int | None = None,
) -> StepRecord:
    """Take the next place of the record for a fact; whoever asked for it writes it.

    Args:
        current: The pass.
        kind: What it is.
        name: What people see of it.
        address: By which a replay looks for it, if that is not its name.
        now: The instant it is of, in microseconds, if that is not this one.
        status: ``WAITING`` for one that is settled later.
        value: What it says, as text.
        due_at: When its time is over, in microseconds.
    """
    instant = current.clock.now() if now is None else now
    return StepRecord(
        seq=current.next_seq(),
        kind=kind,
        name=name,
        address=name if address is None else address,
        status=status,
        attempt=1,
        epoch=current.claim.epoch,
        started_at=instant,
        finished_at=instant,
        value=value,
        due_at=due_at,
    )
