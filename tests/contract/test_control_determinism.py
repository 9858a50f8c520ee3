"""A cancel at any point of a run is told in the same place on every replay, and undoes what was finished.

`AIKI_EVERY_POINT=1` takes all the points there are, which takes minutes; else some are drawn, other ones each day.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from aiki_celery.engine.ports import Forever
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import RunEvent, StepStarting
from aiki_celery.model.records import Envelope, StepRecord
from aiki_celery.model.status import RunStatus, StepKind
from aiki_celery.settings import AikiSettings
from tests.contract.control_flows import EFFECTS, TRAIL, WORD, everything
from tests.contract.house import House
from tests.contract.rows import insert_rows, run_row, set_run, wipe
from tests.contract.stories import ALICE

REASON = "changed its mind"


class Died(BaseException):
    """The process, as far as the run can tell."""


@dataclass
class Cancelled:
    """A run that was cancelled at the so-manieth event of its life, brought to its end."""

    house: House
    number: int
    dies: bool = False
    run_id: str = ""
    seen: int = 0
    messages: list[Envelope] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return self.house.journal

    @property
    def row(self) -> Any:
        return run_row(self.journal, self.run_id)

    @property
    def steps(self) -> list[StepRecord]:
        return self.journal.views.steps(self.run_id)

    def live(self) -> Cancelled:
        """Lives, up to the end."""
        wipe(self.journal)
        EFFECTS.clear()
        house = self.house
        house.inbox.clear()
        no_more = house.hooks.on(RunEvent, self._count)
        self.run_id = house.enqueue(everything)
        self.journal.inbox.send(self.run_id, WORD.name, '"hello"', None)
        while True:
            try:
                house.drain()
            except Died:
                self.journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
                # Its broker died with it.
                house.inbox.clear()
                house.inbox.extend(run.id for run in self.journal.views.find(statuses=[RunStatus.QUEUED]))
            house.publish(self.messages)
            self.messages = []
            if not house.inbox:
                no_more()
                return self

    def _count(self, event: RunEvent) -> None:
        self.seen += 1
        if self.seen != self.number:
            return
        if not RunStatus(self.row.status).is_terminal:
            self.messages += self.journal.control.cancel(self.run_id, REASON).envelopes
        if self.dies:
            raise Died

    def check(self) -> None:
        """What was finished before the cancel is undone once, last first; nothing else is begun after it."""
        steps = self.steps
        row = self.row
        assert row.control is None
        cancels = [step for step in steps if step.kind is StepKind.CANCEL]
        undone = [step.name for step in steps if step.name.startswith("control-act") and _is_undo(step)]
        if row.status == RunStatus.COMPLETED.value:
            assert not undone
            return
        assert (RunStatus.CANCELLED.value, REASON) == (row.status, row.reason)
        if row.epoch == 0:
            return
        assert 1 == len(cancels)
        after = [step for step in steps if step.seq > cancels[0].seq]
        assert all(_is_undo(step) or step.kind is StepKind.SLEEP for step in after), after


def _is_undo(step: StepRecord) -> bool:
    return "undo" in (step.input or "") or "undo" in (step.value or "")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house over a journal on SQLite: this is about the engine."""
    folder: Path = tmp_path_factory.mktemp("determinism")
    journal = Journal(AikiSettings(journal=f"sqlite:///{folder / 'journal.sqlite3'}"))
    journal.upgrade()
    yield House(journal, inline_wait=0.01)
    journal.close()


def replayed(life: Cancelled, last: int) -> tuple[list[str], list[tuple[Any, ...]], Any]:
    """Puts the run back to where it had so many records, and lets it go on; gives its trail, record and row."""
    row, steps, journal, house = dict(life.row._mapping), life.steps, life.journal, life.house
    children = {step.child_id for step in steps if step.child_id and step.seq <= last}
    with journal.connections.autocommit() as connection:
        runs, events = journal.schema.runs, journal.schema.events
        below = [
            dict(found._mapping) for found in connection.execute(runs.select()) if found.id != life.run_id
        ]
        received = [dict(found._mapping) for found in connection.execute(events.select())]
        kept = connection.execute(journal.schema.steps.select()).all()
    records = [
        dict(step._mapping)
        for step in kept
        if (step.run_id == life.run_id and step.seq <= last) or step.run_id in children
    ]
    wipe(journal)
    cancel = next(step for step in steps if step.kind is StepKind.CANCEL)
    row |= {"status": "queued", "output": None, "error": None, "finished_at": None, "reason": None}
    row["children"] = len(children)
    row |= {"control": None if cancel.seq <= last else "cancel"}
    insert_rows(journal, "runs", [row, *(child for child in below if child["id"] in children)])
    if records:
        insert_rows(journal, "steps", records)
    if received:
        insert_rows(journal, "events", received)
    house.inbox.append(life.run_id)
    house.drain()
    facts = [(step.seq, step.kind, step.address, step.status) for step in journal.views.steps(life.run_id)]
    return list(TRAIL), facts, run_row(journal, life.run_id)


def lives(house: House, stride: int, *, dies: bool) -> Iterator[Cancelled]:
    """Runs that are cancelled at each event in turn."""
    for number in points(stride):
        life = Cancelled(house, number, dies).live()
        if life.seen < number:
            assert number > 60, "the run meets many events"
            return
        yield life


def points(stride: int) -> Iterator[int]:
    """The events at which runs are cancelled: all, or each so-manieth of them."""
    if os.environ.get("AIKI_EVERY_POINT"):
        return itertools.count(1)
    return itertools.count(1 + datetime.now(timezone.utc).toordinal() % stride, stride)


@pytest.mark.parametrize("dies", [False, True], ids=["live", "after a crash"])
def test_cancel_at_any_event_undoes_what_was_finished(house: House, dies: bool) -> None:
    """Wherever the cancel comes, and whether or not the process dies there, clean-up fits the record."""
    noted = 0
    for life in lives(house, 11, dies=dies):
        life.check()
        noted += life.row.status == RunStatus.CANCELLED.value
    assert noted > 5


def test_ended_run_replays_without_running_a_step(house: House) -> None:
    """I8, of cancelled runs: the same calls are made, the cancel is told in the same one, and nothing is run."""
    for life in lives(house, 13, dies=False):
        trail, row, before = list(TRAIL), life.row, life.steps
        if not any(step.kind is StepKind.CANCEL for step in before):
            continue
        begun: list[StepStarting] = []
        no_more = house.hooks.on(StepStarting, begun.append)
        set_run(
            life.journal, life.run_id, status="queued", output=None, error=None, finished_at=None, reason=None
        )
        taken = house.executor.claim(life.run_id, ALICE)
        assert taken is not None
        outcome = house.executor.run(everything, *taken, Forever(), told=True)
        no_more()
        assert (row.status, row.output, [], trail) == (outcome.status, outcome.output, begun, TRAIL), (
            life.number
        )
        assert len(before) == len(life.steps)


def test_any_prefix_of_a_cancelled_run_goes_on_alike(house: House) -> None:
    """A process that dies anywhere after the cancel was noted changes nothing."""
    tried = 0
    for number in points(37):
        life = Cancelled(house, number).live()
        if life.seen < number:
            break
        steps, trail, row = life.steps, list(TRAIL), life.row
        facts = [(step.seq, step.kind, step.address, step.status) for step in steps]
        cancel = next((step for step in steps if step.kind is StepKind.CANCEL), None)
        if cancel is None:
            continue
        tried += 1
        for last in range(cancel.seq, steps[-1].seq + 1):
            again, recorded, after = replayed(life, last)
            assert (trail, facts, row.status, row.reason) == (again, recorded, after.status, after.reason), (
                number,
                last,
            )
    assert tried > 0
