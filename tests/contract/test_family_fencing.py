"""Within a family: who was taken over starts nothing, waits for nothing, ends nothing, reports nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus
from tests.contract.families import (
    WAITS,
    children_of,
    end,
    launched,
    starts,
    states,
    taken,
    taken_over,
    wait_for,
    waiting,
    wake_ups,
)
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, BOB, claimed, parked, queued, token

Write = Callable[[Journal, Claim], object]

OF_A_PARENT: dict[str, Write] = {
    "launch": lambda journal, claim: journal.launches.launch(claim, *starts(claim, [2])),
    "launch and wait": lambda journal, claim: journal.launches.wait(
        claim, *starts(claim, [2]), {1, 2}, 2, WAITS
    ),
    "wait": lambda journal, claim: wait_for(journal, claim, {1}),
}


def report(journal: Journal, claim: Claim) -> None:
    """What a heartbeat of the step writes."""
    writing = journal.begin_pass(claim)
    try:
        writing.report('"zombie"')
    finally:
        writing.close()


OF_A_STEP: dict[str, Write] = {
    "complete": end,
    "fail": lambda journal, claim: end(journal, claim, RunStatus.FAILED),
    "heartbeat": report,
}


def whole(journal: Journal, run_id: str) -> object:
    """All that is written of a run and what it has started."""
    return run_row(journal, run_id), journal.views.steps(run_id), children_of(journal, run_id)


@pytest.mark.parametrize("is_claimed", [True, False], ids=["claimed", "freed"])
@pytest.mark.parametrize("write", OF_A_PARENT.values(), ids=OF_A_PARENT)
def test_write_of_a_parent_that_was_taken_over_is_refused(
    journal: Journal, write: Write, is_claimed: bool
) -> None:
    """A zombie starts nothing and waits for nothing, once its run is taken away and once another has it."""
    parent = launched(journal, 1)
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    if is_claimed:
        claimed(journal, parent.id, BOB)
    before = whole(journal, parent.id)
    with pytest.raises(ClaimLost, match=f"run {parent.id} was taken over: this pass holds epoch 1"):
        write(journal, parent.claim)
    assert before == whole(journal, parent.id)


@pytest.mark.parametrize("write", OF_A_PARENT.values(), ids=OF_A_PARENT)
def test_write_of_a_parent_whose_successor_waits_is_refused(journal: Journal, write: Write) -> None:
    """Nor when the successor waits for the same start: its wait is not taken for the zombie's own."""
    parent = launched(journal, 1)
    heir = taken_over(journal, parent)
    assert heir is not None
    assert wait_for(journal, heir[0], {1})
    before = whole(journal, parent.id)
    with pytest.raises(ClaimLost):
        write(journal, parent.claim)
    assert before == whole(journal, parent.id)


@pytest.mark.parametrize("is_claimed", [True, False], ids=["claimed", "freed"])
@pytest.mark.parametrize("write", OF_A_STEP.values(), ids=OF_A_STEP)
def test_write_of_a_step_that_was_taken_away_is_refused(
    journal: Journal, write: Write, is_claimed: bool
) -> None:
    """A zombie step records no result, counts nothing off and reports nothing."""
    parent = waiting(journal, 2)
    zombie = taken(journal, parent.children[1], BOB)
    journal.recovery.free_process(BOB.worker_id, BOB.pid)
    if is_claimed:
        taken(journal, parent.children[1], ALICE)
    before = whole(journal, parent.id)
    with pytest.raises(ClaimLost, match=f"run {zombie.run_id} was taken over"):
        write(journal, zombie)
    assert before == whole(journal, parent.id)
    assert (2, 0) == (run_row(journal, parent.id).await_count, wake_ups(journal, parent.id))


@pytest.mark.parametrize("write", OF_A_STEP.values(), ids=OF_A_STEP)
def test_write_of_a_step_whose_successor_has_ended_is_refused(journal: Journal, write: Write) -> None:
    """Its parent was told once; a zombie tells nobody, and releases nobody of its lane."""
    parent = waiting(journal, 3, lane=1, at_once=1)
    zombie = taken(journal, parent.children[1], BOB)
    journal.recovery.free_process(BOB.worker_id, BOB.pid)
    assert [parent.children[2]] == end(journal, taken(journal, parent.children[1], ALICE))
    before = whole(journal, parent.id)
    with pytest.raises(ClaimLost):
        write(journal, zombie)
    assert before == whole(journal, parent.id)
    assert ("awaiting_steps", ["completed", "queued", "scheduled"]) == states(journal, parent)


def test_step_that_is_held_back_cannot_be_taken(journal: Journal) -> None:
    """A message for a step whose turn has not come finds nothing to do; a sweep does not queue it either."""
    parent = waiting(journal, 2, lane=1, at_once=1)
    assert None is journal.claims.claim(parent.children[2], BOB, token())
    assert [] == journal.timers.queue_due(["resize"], 10)
    end(journal, taken(journal, parent.children[1]))
    assert journal.claims.claim(parent.children[2], BOB, token()) is not None


def test_only_a_step_whose_time_is_over_is_taken_away(journal: Journal) -> None:
    """A claim of what has expired does not touch what runs in time, waits, is queued, or has no limit."""
    parent = launched(journal, 2, timeout=3_600_000_000)
    in_time = taken(journal, parent.children[1]).run_id
    without = claimed(journal, owner=BOB).run_id
    untouched = [in_time, without, parent.children[2], parked(journal, due_in=-5), queued(journal)]
    assert [None] * len(untouched) == [
        journal.claims.claim_expired(run_id, ALICE, token()) for run_id in untouched
    ]


@pytest.mark.parametrize("place", [3, 4])
def test_cancel_of_a_step_that_is_held_back_gives_nobody_its_turn(journal: Journal, place: int) -> None:
    """It had none to pass on: the next in line waits until what is under way is over."""
    parent = waiting(journal, 4, lane=1, at_once=1)
    journal.control.cancel(parent.children[place], "not this one")
    assert ["queued", *("cancelled" if held == place else "scheduled" for held in (2, 3, 4))] == (
        states(journal, parent)[1]
    )
    assert [parent.children[2]] == end(journal, taken(journal, parent.children[1]))
