"""Sleeps. What was asked for and when it is due are stored; the worker is freed; a sweep queues the run in time."""

from __future__ import annotations

from aiki_celery.engine.current_pass import Pass
from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus


def sleep_for(current: Pass, name: str, seconds: float) -> None:
    """Wait for so many seconds, counted from when this sleep began.

    Raises:
        RunSuspended: It is not over yet.
    """
    address = f"sleep:{name}"
    began = current.record.take_fact(address)
    length = int(seconds * MICROSECOND)
    if began is None:
        now = current.clock.now()
        if length == 0:
            return
        _begin(current, name, address, now, now + length)
    elif not _was_passed(current, began):
        # The code may ask for another length by now; the time already slept counts either way.
        _go_on(current, name, began.started_at + length)


def sleep_until(current: Pass, name: str, due_at: int) -> None:
    """Wait until an instant in microseconds.

    Raises:
        RunSuspended: It has not come yet.
    """
    address = f"sleep:{name}"
    began = current.record.take_fact(address)
    if began is None:
        now = current.clock.now()
        if due_at > now:
            _begin(current, name, address, now, due_at)
    elif not _was_passed(current, began):
        _go_on(current, name, due_at)


def _was_passed(current: Pass, began: StepRecord) -> bool:
    """Tell whether an earlier pass got beyond this sleep: whatever was recorded later was recorded after it."""
    return current.record.last_seq > began.seq


def _begin(current: Pass, name: str, address: str, now: int, due_at: int) -> None:
    step = StepRecord(
        seq=current.next_seq(),
        kind=StepKind.SLEEP,
        name=name,
        address=address,
        status=StepStatus.WAITING,
        attempt=1,
        epoch=current.claim.epoch,
        started_at=now,
        finished_at=now,
        due_at=due_at,
    )
    current.park(RunStatus.SLEEPING, due_at, _why(name, due_at), (step,))


def _go_on(current: Pass, name: str, due_at: int) -> None:
    if current.clock.now() < due_at:
        current.park(RunStatus.SLEEPING, due_at, _why(name, due_at))


def _why(name: str, due_at: int) -> str:
    return f"{name!r} until {to_datetime(due_at).isoformat(timespec='milliseconds')}"
