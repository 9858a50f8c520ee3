"""What must be possible after a cancel, and what must not be forgotten: room to clean up, a second cancel, a saga."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import RunCancelled, WorkflowRun, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.families import launched
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, cancel, done, ended, forget, told
from tests.contract.stories import ALICE, claimed, token


@pytest.fixture(autouse=True)
def nothing_is_done() -> None:
    forget()


@workflow(name="clean-steps")
def stepping(run: WorkflowRun, steps: int, undone: int) -> None:
    try:
        for number in range(steps):
            book.run(run, f"step {number}")
        run.sleep(3600)
    finally:
        for number in range(undone):
            cancel.run(run, f"step {number}")


@workflow(name="clean-children")
def starting(run: WorkflowRun, steps: int) -> None:
    run.gather(*[book.start(run, f"start {number}") for number in range(steps)])
    try:
        run.sleep(3600)
    except RunCancelled:
        cancel.start(run, "start").result()
        raise


@workflow(name="clean-saga-goes-on")
def going_on(run: WorkflowRun, generation: int) -> None:
    with run.saga() as saga:
        book.run(run, f"hotel {generation}")
        saga.add(cancel, f"hotel {generation}")
        run.continue_as_new(generation + 1)


@pytest.mark.parametrize(
    ("limits", "flow", "given"),
    [({"max_steps": 10}, stepping, (9, 1)), ({"max_children": 9}, starting, (9,))],
    ids=["steps", "children"],
)
def test_cancelled_run_has_room_to_clean_up(
    journal: Journal, limits: dict[str, int], flow: Any, given: tuple[int, ...]
) -> None:
    """It is at its limit, and cannot be retried with a higher one."""
    house = House(journal, **limits)
    run_id = house.enqueue(flow, *given)
    while house.inbox:
        house.take(house.inbox[0])
    assert RunStatus.SLEEPING == run_row(journal, run_id).status
    told()
    house.publish(journal.control.cancel(run_id, "no").envelopes)
    assert ("cancelled", 1) == (ended(house, run_id), len(told()))
    assert "no" == run_row(journal, run_id).reason


def test_clean_up_has_an_end(journal: Journal) -> None:
    """As much room again as the run had, and no more."""
    house = House(journal, max_steps=10)
    run_id = house.enqueue(stepping, 9, 30)
    house.take(run_id)
    house.publish(journal.control.cancel(run_id, "no").envelopes)
    assert "cancelled" == ended(house, run_id)
    assert "cleaning up failed: StepLimitExceeded" in (run_row(journal, run_id).reason or "")
    assert 20 >= len(journal.views.steps(run_id))


def test_run_that_stalled_before_it_heeded_a_cancel_can_be_cancelled_again(journal: Journal) -> None:
    """The second one queues it, so that its code cleans up after all; it is recorded once."""
    claim = claimed(journal)
    assert journal.control.cancel(claim.run_id, "first").is_new
    while run_row(journal, claim.run_id).status != RunStatus.STALLED:
        journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
        journal.claims.claim(claim.run_id, ALICE, token())
    again = journal.control.cancel(claim.run_id, "second")
    row = run_row(journal, claim.run_id)
    assert (True, [claim.run_id]) == (again.is_new, [envelope.run_id for envelope in again.envelopes])
    assert ("queued", "cancel", "first") == (row.status, row.control, row.cancel_reason)
    assert not journal.control.cancel(claim.run_id, "third").is_new


def test_generation_is_not_left_with_something_to_undo(journal: Journal) -> None:
    """The next one would know nothing of it; refused before anything is written, so the saga undoes it."""
    house = House(journal)
    run_id = house.enqueue(going_on, 0)
    assert "failed" == ended(house, run_id)
    row = run_row(journal, run_id)
    assert 0 == row.generation
    assert "would forget how to undo what was done there (saga-cancel)" in (row.error or "")
    assert ["hotel 0", "-hotel 0"] == done


def test_fork_follows_many_in_few_statements(journal: Journal) -> None:
    """The number of those that are not over makes no difference."""
    counts = []
    for children in (3, 40):
        parent = launched(journal, children)
        with counting(journal) as counted:
            forked_house = House(journal)
            forked(forked_house, parent.id)
        counts.append(sum("followers" in statement for statement in counted.statements))
        assert {1} == {run_row(journal, child).followers for child in parent.children.values()}
    assert counts[0] == counts[1]
