"""Runs in each state, to be controlled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus
from tests.contract.families import launched, wait_for
from tests.contract.rows import run_row, set_run
from tests.contract.stories import claimed, finished, in_pass, new_run, parked, queued, step

REASON = "changed its mind"


def sleeping(journal: Journal, due_in: float = 3600.0) -> str:
    """A run that has recorded a sleep, and waits for its end."""
    claim, writing = in_pass(journal)
    record = sleep_of(claim.now, claim.now + int(due_in * 1_000_000))
    writing.park(RunStatus.SLEEPING, (record,), due_at=record.due_at or 0, why="sleeps", attempt=1)
    writing.close()
    return claim.run_id


def sleep_of(now: int, due_at: int, seq: int = 1) -> StepRecord:
    """The record of a sleep."""
    return step(
        seq,
        kind=StepKind.SLEEP,
        name="nap",
        address="sleep:nap",
        status=StepStatus.WAITING,
        due_at=due_at,
        started_at=now,
        finished_at=now,
        value=None,
    )


def awaiting_steps(journal: Journal) -> str:
    """A run that waits for a step it has started."""
    parent = launched(journal, 1)
    assert wait_for(journal, parent.claim, {1})
    return parent.id


def paused(journal: Journal) -> str:
    """A run that has begun, and was paused while it slept."""
    run_id = sleeping(journal)
    journal.control_moves.pause(run_id)
    return run_id


def cancelled(journal: Journal) -> str:
    """A run that was cancelled before it began."""
    run_id = queued(journal)
    journal.control.cancel(run_id, "the first time")
    return run_id


def queued_again(journal: Journal) -> str:
    """A run that has begun, and waits for a worker."""
    claim, writing = in_pass(journal)
    writing.hand_over("it was held for long")
    writing.close()
    return claim.run_id


def stalled_before_it_began(journal: Journal) -> str:
    """A run that nobody has taken."""
    run_id = queued(journal)
    set_run(journal, run_id, status=RunStatus.STALLED.value, reason="undelivered", due_at=None)
    return run_id


#: By its name, how a run is brought into a state, and that state.
STATES: dict[str, tuple[Callable[[Journal], str], str]] = {
    "scheduled": (lambda journal: journal.starts.insert(new_run(delay=3600.0)), "scheduled"),
    "queued": (queued, "queued"),
    "queued again": (queued_again, "queued"),
    "running": (lambda journal: claimed(journal).run_id, "running"),
    "sleeping": (sleeping, "sleeping"),
    "awaiting retry": (lambda journal: parked(journal, RunStatus.AWAITING_RETRY), "awaiting_retry"),
    "awaiting steps": (awaiting_steps, "awaiting_steps"),
    "paused": (paused, "paused"),
    "stalled": (lambda journal: finished(journal, RunStatus.STALLED), "stalled"),
    "undelivered": (stalled_before_it_began, "stalled"),
    "completed": (finished, "completed"),
    "failed": (lambda journal: finished(journal, RunStatus.FAILED), "failed"),
    "cancelled": (cancelled, "cancelled"),
}

#: Those in which nothing has begun, and nothing can be cleaned up.
FRESH = ("scheduled", "queued", "undelivered")
OVER = ("completed", "failed", "cancelled")
STALLED = ("stalled", "undelivered")


def facts(journal: Journal, run_id: str) -> tuple[str, str | None, str | None]:
    """The state of a run, what it is asked for, and why it was cancelled."""
    row = run_row(journal, run_id)
    return row.status, row.control, row.cancel_reason


def kinds(journal: Journal, run_id: str) -> list[Any]:
    """The kinds of a run's records."""
    return [step.kind for step in journal.views.steps(run_id)]
