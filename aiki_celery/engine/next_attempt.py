"""Trying a whole workflow again, as its policy says: what is to be done anew is put aside, and the run waits."""

from __future__ import annotations

from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.failures import write_failure
from aiki_celery.engine.going_back import GoingBack
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus


def park_for_retry(current: Pass, error: Exception, delay: float, back: GoingBack) -> None:
    """Put aside what is to be done again, and do it when the delay is over.

    Returns if the run is to be cancelled: its failure stands then.

    Raises:
        RunSuspended: The run waits.
        ClaimLost: The run was taken over.
    """
    claim, now = current.claim, current.clock.now()
    seq = current.next_seq()
    due_at = now + int(delay * MICROSECOND)
    marker = StepRecord(
        seq=seq,
        kind=StepKind.RETRY,
        name=back.name,
        address="retry",
        status=StepStatus.FAILED,
        attempt=claim.attempt,
        epoch=claim.epoch,
        started_at=current.began_at,
        finished_at=now,
        input=write_failure(error, claim.attempt),
        value=back.text(seq),
        due_at=due_at,
    )
    why = f"attempt {claim.attempt} failed ({type(error).__qualname__}), the next in {delay:.3g} s"
    current.park(RunStatus.AWAITING_RETRY, due_at, why, (marker,), attempt=claim.attempt + 1)


def wait_for_attempt(current: Pass) -> None:
    """Wait for what is left of the delay before this attempt: the run was paused in it, and is resumed early.

    Raises:
        RunSuspended: The run waits.
        ClaimLost: The run was taken over.
    """
    record = current.record
    last = record.aside.retries[-1] if record.aside.retries else None
    if last is None or last.seq != record.last_seq or last.due_at is None:
        return
    if last.due_at > current.clock.now():
        current.park(RunStatus.AWAITING_RETRY, last.due_at, f"waits for attempt {current.claim.attempt}")
