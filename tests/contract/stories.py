"""Runs, brought to where a test begins."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from aiki_celery.journal.journal import Journal
from aiki_celery.journal.passes import JournalPass
from aiki_celery.model.ids import new_run_id
from aiki_celery.model.records import Claim, NewRun, Owner, StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus

ALICE = Owner("worker-alice", 100)
BOB = Owner("worker-bob", 200)
DEFINITION = "greet@1.0.0"

_numbers = itertools.count(1)


def new_run(**facts: Any) -> NewRun:
    """A run that is not written yet."""
    values: dict[str, Any] = {
        "id": new_run_id(),
        "workflow": "greet",
        "version": "1.0.0",
        "input": '{"name":"Ann"}',
        "input_hash": "hash-of-ann",
        "encoding": 1,
    }
    return NewRun(**(values | facts))


def queued(journal: Journal, **facts: Any) -> str:
    """A run that is in the journal, and its message, presumably, in the broker."""
    return journal.starts.insert(new_run(**facts))


def token() -> str:
    """A claim's token."""
    return uuid.uuid4().hex


def claimed(journal: Journal, run_id: str | None = None, owner: Owner = ALICE) -> Claim:
    """A run that is held by a worker."""
    taken = journal.claims.claim(run_id or queued(journal), owner, token())
    assert taken is not None
    return taken[0]


def in_pass(journal: Journal, run_id: str | None = None, owner: Owner = ALICE) -> tuple[Claim, JournalPass]:
    """A run that is held, and what its pass writes with."""
    claim = claimed(journal, run_id, owner)
    return claim, journal.begin_pass(claim)


def step(seq: int = 1, epoch: int = 1, **facts: Any) -> StepRecord:
    """A record."""
    moment = 1_700_000_000_000_000 + next(_numbers)
    values: dict[str, Any] = {
        "seq": seq,
        "kind": StepKind.TASK,
        "name": "charge",
        "address": f"charge:{seq}",
        "status": StepStatus.COMPLETED,
        "attempt": 1,
        "epoch": epoch,
        "started_at": moment,
        "finished_at": moment + 5,
        "input": '{"n":1}',
        "value": '"done"',
    }
    return StepRecord(**(values | facts))


def parked(
    journal: Journal, status: RunStatus = RunStatus.SLEEPING, *, due_in: float = 3600.0, **facts: Any
) -> str:
    """A run that waits; a negative `due_in` makes it due."""
    claim, writing = in_pass(journal, queued(journal, **facts))
    due_at = claim.now + int(due_in * 1_000_000)
    writing.park(status, (), due_at=due_at, why="waits", attempt=1)
    writing.close()
    return claim.run_id


def finished(
    journal: Journal, status: RunStatus = RunStatus.COMPLETED, *, told: bool = True, owner: Owner = ALICE
) -> str:
    """A run that is over, or stalled."""
    claim, writing = in_pass(journal, owner=owner)
    writing.finish(status, output='"bye"', why="over", told=told)
    writing.close()
    return claim.run_id
