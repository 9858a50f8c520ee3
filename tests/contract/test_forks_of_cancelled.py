"""Forks of runs that were cancelled, failed before they were told, and were retried by hand: as if never cancelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import StepKind
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, ended, forget, retried, told

#: What happens in the step in the middle, which fails then.
meanwhile: list[Callable[[], None]] = []


@pytest.fixture
def house(journal: Journal) -> House:
    """A house in which nothing has been done."""
    forget()
    meanwhile.clear()
    return House(journal, inline_wait=0.0)


@task(name="forks-cancelled-ask")
def ask(what: str) -> str:
    if meanwhile:
        meanwhile.pop()()
        raise ValueError("no answer")
    return book.function(what)


@workflow(name="forks-cancelled-line")
def line_with_a_question(run: WorkflowRun) -> list[str]:
    return [book.run(run, "a"), ask.run(run, "b"), book.run(run, "c")]


@pytest.fixture
def run_id(house: House) -> str:
    """A run that was cancelled, failed before it was told, and was retried by hand."""
    run_id = house.enqueue(line_with_a_question)
    meanwhile.append(lambda: house.publish(house.journal.control.cancel(run_id, "").envelopes))
    assert ("failed", "completed") == (ended(house, run_id), retried(house, run_id))
    assert StepKind.CANCEL in {step.kind for step in house.journal.views.steps(run_id)}
    assert ["a", "b", "c"] == told()
    return run_id


def test_fork_of_a_cancelled_run_that_was_retried_is_whole(house: House, run_id: str) -> None:
    """The old cancel does not cut it: nothing is done again."""
    copy = forked(house, run_id)
    assert ("completed", []) == (ended(house, copy), told())
    assert run_row(house.journal, run_id).output == run_row(house.journal, copy).output


@pytest.mark.parametrize(("back", "redone"), [(0, ["c"]), (1, ["b", "c"])])
def test_fork_of_a_cancelled_run_that_was_retried_begins_at_any_place(
    house: House, run_id: str, back: int, redone: list[str]
) -> None:
    """Beyond the cancel, too: it is not the clean-up that lies there."""
    last = house.journal.views.steps(run_id)[-1].seq
    copy = forked(house, run_id, last - back)
    assert ("completed", redone) == (ended(house, copy), told())
