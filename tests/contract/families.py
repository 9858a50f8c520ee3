"""Runs that have started others, brought to where a test begins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from aiki_celery.journal.journal import Journal
from aiki_celery.model.ids import child_run_id
from aiki_celery.model.records import Claim, Envelope, NewChild, NewRun, Owner, StepRecord
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, BOB, claimed, step, token

#: Name of the task that is started here.
TASK = "resize"

WAITS = "waits for what it started"


@dataclass(frozen=True)
class Parent:
    """A run that is held, and the ids of those it has started, by the places of their starts."""

    claim: Claim
    children: dict[int, str]

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.claim.run_id


def starts(claim: Claim, places: Collection[int], **facts: Any) -> tuple[list[StepRecord], list[NewChild]]:
    """Starts that are not written yet: their records, and the runs they make.

    Args:
        claim: The claim of who starts them.
        places: Their places in its record.
        facts: Of the runs; `at_once` is how many of them are not held back.
    """
    at_once = facts.pop("at_once", len(places))
    records, children = [], []
    for number, place in enumerate(places):
        child_id = child_run_id(claim.run_id, place)
        records.append(
            step(
                place,
                epoch=claim.epoch,
                kind=StepKind.LAUNCH,
                name=TASK,
                address=f"{TASK}:{place}",
                status=StepStatus.STARTED,
                input=None,
                value=None,
                child_id=child_id,
            )
        )
        run = NewRun(
            id=child_id, workflow=TASK, version="", input="{}", input_hash="", encoding=1, queue="celery"
        )
        children.append(
            NewChild(run=run, kind=RunKind.STEP, parent_seq=place, is_held=number >= at_once, **facts)
        )
    return records, children


def launched(journal: Journal, count: int, *, owner: Owner = ALICE, **facts: Any) -> Parent:
    """A run that is held and has started so many others."""
    claim = claimed(journal, owner=owner)
    records, children = starts(claim, range(1, count + 1), **facts)
    journal.launches.launch(claim, records, children)
    return Parent(claim, {child.parent_seq: child.run.id for child in children})


def waiting(journal: Journal, count: int, need: int | None = None, **facts: Any) -> Parent:
    """A run that waits until all, or `need`, of those that it has started are over."""
    parent = launched(journal, count, **facts)
    assert wait_for(journal, parent.claim, set(parent.children), need)
    return parent


def wait_for(journal: Journal, claim: Claim, places: set[int], need: int | None = None) -> bool:
    """Settles a run as waiting for these starts, which are recorded; tells whether it waits."""
    return journal.launches.wait(claim, [], [], places, need or len(places), WAITS)


def taken(journal: Journal, run_id: str, owner: Owner = BOB) -> Claim:
    """The claim of a started step, by the other worker."""
    return claimed(journal, run_id, owner)


def end(journal: Journal, claim: Claim, status: RunStatus = RunStatus.COMPLETED) -> list[str]:
    """Ends a started step; gives the ids of the runs that go on because of it."""
    writing = journal.begin_pass(claim)
    try:
        woken: list[Envelope] = writing.finish(status, output="1", why="over", told=True)
    finally:
        writing.close()
    return [run.run_id for run in woken]


def run_through(journal: Journal, run_id: str) -> list[str]:
    """Takes a started step and ends it."""
    return end(journal, taken(journal, run_id))


def taken_over(journal: Journal, parent: Parent) -> tuple[Claim, list[StepRecord]] | None:
    """Frees the run of a dead process, and takes it for the other worker, if it is to be had."""
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    return journal.claims.claim(parent.id, BOB, token())


def wake_ups(journal: Journal, run_id: str) -> int:
    """How often a run has gone on because what it waited for was over."""
    return sum(line.reason == "what it waited for is over" for line in journal.views.history(run_id))


def children_of(journal: Journal, run_id: str) -> list[Any]:
    """The rows of what a run has started, by their places."""
    runs = journal.schema.runs
    query = select(runs).where(runs.c.parent_id == run_id).order_by(runs.c.parent_seq)
    with journal.connections.autocommit() as connection:
        return list(connection.execute(query).all())


def states(journal: Journal, parent: Parent) -> tuple[str, list[str]]:
    """The states of a run and of what it has started."""
    return run_row(journal, parent.id).status, [row.status for row in children_of(journal, parent.id)]
