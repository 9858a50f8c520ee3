"""A pass whose run was taken over writes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.passes import JournalPass
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, BOB, claimed, in_pass, step, token

Write = Callable[[JournalPass, Claim], None]

WRITES: dict[str, Write] = {
    "append": lambda writing, claim: writing.append(step(2, epoch=claim.epoch)),
    "park": lambda writing, claim: writing.park(
        RunStatus.SLEEPING, (), due_at=claim.now, why="waits", attempt=1
    ),
    "park with a record": lambda writing, claim: writing.park(
        RunStatus.SLEEPING, (step(2, epoch=claim.epoch),), due_at=claim.now, why="waits", attempt=1
    ),
    "hand over": lambda writing, _: writing.hand_over("drain"),
    "complete": lambda writing, _: writing.finish(
        RunStatus.COMPLETED, output='"zombie"', why="over", told=True
    ),
    "complete untold": lambda writing, _: writing.finish(
        RunStatus.COMPLETED, output='"zombie"', why="over", told=False
    ),
    "fail": lambda writing, _: writing.finish(RunStatus.FAILED, error="{}", why="over", told=True),
    "stall": lambda writing, _: writing.finish(RunStatus.STALLED, error="{}", why="diverged", told=True),
}


def taken_away(journal: Journal) -> tuple[Claim, JournalPass]:
    """A pass of Alice's, with one record, whose run was freed when its process died."""
    claim, writing = in_pass(journal)
    writing.append(step(1))
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    return claim, writing


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_write_after_another_claim_is_refused(journal: Journal, write: Write) -> None:
    """A zombie's writes are refused, and the run stays as its new owner has it."""
    claim, zombie = taken_away(journal)
    claimed(journal, claim.run_id, BOB)
    before = run_row(journal, claim.run_id), journal.views.steps(claim.run_id)
    with pytest.raises(ClaimLost, match=f"run {claim.run_id} was taken over: this pass holds epoch 1"):
        write(zombie, claim)
    zombie.close()
    assert before == (run_row(journal, claim.run_id), journal.views.steps(claim.run_id))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_write_after_the_run_was_freed_is_refused(journal: Journal, write: Write) -> None:
    """A run that was taken away is out of reach even before somebody else claims it."""
    claim, zombie = taken_away(journal)
    before = run_row(journal, claim.run_id), journal.views.steps(claim.run_id)
    if write is WRITES["hand over"]:
        # It is queued already, as the hand-over wants it: taken for an earlier try of it, and nothing is written.
        write(zombie, claim)
    else:
        with pytest.raises(ClaimLost):
            write(zombie, claim)
    zombie.close()
    assert before == (run_row(journal, claim.run_id), journal.views.steps(claim.run_id))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_write_after_the_successor_finished_is_refused(journal: Journal, write: Write) -> None:
    """A finished run is not finished again by a zombie, nor does it get another record."""
    claim, zombie = taken_away(journal)
    successor, writing = in_pass(journal, claim.run_id, BOB)
    writing.finish(RunStatus.COMPLETED, output='"right"', why="over", told=True)
    writing.close()
    before = run_row(journal, successor.run_id), journal.views.steps(successor.run_id)
    with pytest.raises(ClaimLost):
        write(zombie, claim)
    zombie.close()
    assert before == (run_row(journal, claim.run_id), journal.views.steps(claim.run_id))


def test_settlement_of_a_zombie_is_not_granted(journal: Journal) -> None:
    """Only one process at a time tells the outside of a finished run."""
    claim, writing = in_pass(journal)
    writing.finish(RunStatus.COMPLETED, output="1", why="completed", told=False)
    writing.close()
    assert [False, True, False] == [
        journal.claims.claim_settlement(claim.run_id, BOB, token()),
        bool(journal.recovery.free_process(ALICE.worker_id, ALICE.pid))
        and journal.claims.claim_settlement(claim.run_id, BOB, token()),
        journal.claims.claim_settlement(claim.run_id, ALICE, token()),
    ]
