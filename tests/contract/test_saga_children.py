"""Child workflows that undo, and what there is to be said of undoing when nothing was recorded before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery import Retry, WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, broken, cancel, ended, forget, told

#: What happens while a refund is made.
meanwhile: list[Callable[[], None]] = []


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()
    meanwhile.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


@task(name="saga-children-pay-back")
def pay_back(what: str) -> str:
    book(what)
    if meanwhile:
        meanwhile.pop()()
    return what


@workflow(name="saga-children-refund")
def refund(run: WorkflowRun, what: str) -> str:
    return pay_back.run(run, what)


@workflow(name="saga-children-late-refund")
def late_refund(run: WorkflowRun, what: str) -> str:
    run.sleep(3600)
    return pay_back.run(run, what)


@workflow(name="saga-children-refunding")
def refunding(run: WorkflowRun) -> None:
    with run.saga() as saga:
        book.run(run, "hotel")
        saga.add(refund, "refund")
        raise LookupError("no seat")


@workflow(name="saga-children-refunding-late")
def refunding_late(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(late_refund, "refund")
        saga.add(cancel, book.run(run, "hotel"))
        raise LookupError("no seat")


@workflow(name="saga-children-started-and-refunding")
def started_and_refunding(run: WorkflowRun) -> None:
    with run.saga() as saga:
        book.start(run, "hotel").result()
        saga.add(refund, "refund")
        raise LookupError("no seat")


@workflow(name="saga-children-first-thing", retry=Retry.fixed(3, 0.001))
def undoing_first_thing(run: WorkflowRun, records_before: bool) -> None:
    with run.saga() as saga:
        if records_before:
            run.now()
        saga.add(cancel, "hotel")
        raise ValueError("bad order")


def cancelled(house: House, run_id: str) -> None:
    """Asks for a run to be cancelled."""
    house.publish(house.journal.control.cancel(run_id, "the customer is gone").envelopes)


def test_child_that_undoes_while_its_parent_is_cancelled_undoes_once(house: House) -> None:
    """It comes to its end all the same, so it is not started again."""
    run_id = house.enqueue(refunding)
    meanwhile.append(lambda: cancelled(house, run_id))
    assert ("cancelled", ["hotel", "refund"]) == (ended(house, run_id), told())
    assert ["completed"] == [child.status for child in children_of(house.journal, run_id)]


def test_child_that_was_cancelled_before_it_has_undone_is_started_again(house: House) -> None:
    """It slept, and was cancelled with its parent; another one undoes, and nothing else is undone twice."""
    run_id = house.enqueue(refunding_late)
    while house.inbox:
        house.take(house.inbox[0])
    assert ["hotel", "-hotel"] == told()
    cancelled(house, run_id)
    while house.inbox:
        house.take(house.inbox[0])
    first, second = children_of(house.journal, run_id)
    assert ("cancelled", "sleeping") == (first.status, second.status)

    house.publish(house.journal.control_moves.wake(second.id).envelopes)

    assert ("cancelled", ["refund"]) == (ended(house, run_id), told())
    assert 2 == len(children_of(house.journal, run_id))


def test_limit_of_children_leaves_room_for_those_that_undo(journal: Journal) -> None:
    """A run that has started all it may can still undo what it has done."""
    house = House(journal, inline_wait=0.0, max_children=1)
    run_id = house.enqueue(started_and_refunding)
    assert ("failed", ["hotel", "refund"]) == (ended(house, run_id), told())
    assert "LookupError: no seat" in run_row(journal, run_id).reason


@pytest.mark.parametrize("records_before", [True, False])
def test_failed_compensation_is_the_end_even_if_nothing_was_recorded_before(
    house: House, records_before: bool
) -> None:
    """What could not be undone is not tried again by the run's policy, whatever the block began with."""
    broken.add("-hotel")
    run_id = house.enqueue(undoing_first_thing, records_before)
    assert ("failed", ["-hotel"]) == (ended(house, run_id), told())
    row = run_row(house.journal, run_id)
    assert (True, 1) == ("CompensationFailed" in row.error, row.attempt)
