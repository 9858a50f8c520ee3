"""Sleeps. What was asked for and when it is due are stored; the worker is freed; a sweep queues the run in time."""

from __future__ import annotations

from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.fact_records import new_fact
from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus


def sleep_for(current: Pass, name: str, seconds: float) -> bool:
    """Wait for so many seconds, counted from when this sleep began; tell whether somebody ended it before that.

    Raises:
        RunSuspended: It is not over yet.
        RunCancelled: The run is being cancelled.
    """
    address = f"sleep:{name}"
    if current.record.was_passed_by(address):
        return False
    began = current.record.take_fact(address)
    length = int(seconds * MICROSECOND)
    if began is not None:
        # The code may ask for another length by now; the time already slept counts either way.
        return _go_on(current, began, began.started_at + length)
    if length > 0:
        current.cancel_here()
        now = current.clock.now()
        _begin(current, name, address, now, now + length)
        current.cancel_here()
    else:
        current.record.pass_by(address)
    return False


def sleep_until(current: Pass, name: str, due_at: int) -> bool:
    """Wait until an instant in microseconds; tell whether somebody ended that before.

    Raises:
        RunSuspended: It has not come yet.
        RunCancelled: The run is being cancelled.
    """
    address = f"sleep:{name}"
    if current.record.was_passed_by(address):
        return False
    began = current.record.take_fact(address)
    if began is not None:
        return _go_on(current, began, due_at)
    while current.time_reached() < due_at:
        current.cancel_here()
        _begin(current, name, address, current.clock.now(), due_at)
    current.record.pass_by(address)
    return False


def _begin(current: Pass, name: str, address: str, now: int, due_at: int) -> None:
    passed, waiting = current.record.passed_by(address), StepStatus.WAITING
    step = new_fact(
        current, StepKind.SLEEP, name, address, now=now, status=waiting, value=passed, due_at=due_at
    )
    current.park(RunStatus.SLEEPING, due_at, _why(name, due_at), (step,))


def _go_on(current: Pass, began: StepRecord, due_at: int) -> bool:
    """Wait for what is left of a sleep; tell whether somebody has ended it."""
    woken = current.record.woken.get(began.seq)
    if woken is not None:
        current.record.come_to(woken)
        return True
    while not current.record.came_beyond(began.seq) and current.time_reached() < due_at:
        current.cancel_here()
        current.park(RunStatus.SLEEPING, due_at, _why(began.name, due_at))
    return False


def _why(name: str, due_at: int) -> str:
    return f"{name!r} until {to_datetime(due_at).isoformat(timespec='milliseconds')}"
