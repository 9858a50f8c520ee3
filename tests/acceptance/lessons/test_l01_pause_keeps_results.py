"""L1, of pauses: a step that finished while its run was being paused keeps its result, and uses no attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiki_celery import RunStatus, WorkflowRun, current_step, task, workflow
from aiki_celery.engine.obeying import Obeying
from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
from tests.contract.house import House

DONE: list[tuple[str, int]] = []
PAUSING: list[Any] = []


@task(name="lesson-pausing")
def pausing(what: str) -> str:
    """The first one is paused while it is under way."""
    step = current_step()
    DONE.append((what, step.attempt))
    if PAUSING:
        PAUSING.pop()(step.run_id)
    return what


@workflow(name="lesson-paused")
def paused(run: WorkflowRun) -> list[str]:
    return [pausing.run(run, "charge"), pausing.run(run, "ship")]


def lived(folder: Path) -> tuple[RunStatus, list[tuple[str, int]]]:
    """A run that is paused in its first step, and resumed."""
    journal = Journal(AikiSettings(journal=f"sqlite:///{folder / 'journal.sqlite3'}"))
    journal.upgrade()
    DONE.clear()
    PAUSING.append(journal.control_moves.pause)
    house = House(journal)
    run_id = house.enqueue(paused)
    outcome = house.take(run_id)
    assert outcome is not None
    assert RunStatus.PAUSED is outcome.status
    house.publish(journal.control_moves.resume(run_id).envelopes)
    house.drain()
    row = journal.views.get(run_id)
    journal.close()
    assert 1 == row.attempt
    return row.status, list(DONE)


def test_step_that_is_paused_keeps_its_result(tmp_path: Path) -> None:
    """It is done once; a pass that only heard that it has to pause would have thrown its work away."""
    assert (RunStatus.COMPLETED, [("charge", 1), ("ship", 1)]) == lived(tmp_path)


def test_step_would_be_done_again_if_the_pause_did_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would happen: the refused write is dropped, and the card is charged twice."""
    keep = Obeying._pause
    monkeypatch.setattr(Obeying, "_pause", lambda self, steps, attempt: keep(self, (), attempt))
    assert (RunStatus.COMPLETED, [("charge", 1), ("charge", 1), ("ship", 1)]) == lived(tmp_path)
