"""Steps that replace themselves: the run of a task becomes the run of a workflow."""

from __future__ import annotations

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunKind, RunStatus
from tests.contract.families import waiting
from tests.contract.stories import BOB, claimed, in_pass, new_run, token


def test_replaced_step_is_waited_for_until_what_replaces_it_is_over(journal: Journal) -> None:
    """It keeps its id and its place; its end wakes who waits for the step."""
    parent = waiting(journal, 1)
    claim = claimed(journal, parent.children[1])
    journal.replacements.replace(claim, new_run(id=claim.run_id))

    again, writing = in_pass(journal, claim.run_id, owner=BOB)
    assert (RunKind.WORKFLOW, "greet", parent.id, 1) == (
        again.kind,
        again.workflow,
        again.parent_id,
        again.parent_seq,
    )
    assert RunStatus.AWAITING_STEPS is journal.views.get(parent.id).status
    woken = writing.finish(RunStatus.COMPLETED, output='"bye"', why="completed", told=True)
    writing.close()
    assert [parent.id] == [message.run_id for message in woken]


def test_replacing_a_step_that_was_taken_over_is_refused(journal: Journal) -> None:
    """Nothing is written by who does not hold it any more."""
    parent = waiting(journal, 1)
    lost, writing = in_pass(journal, parent.children[1])
    writing.hand_over("let go")
    writing.close()
    assert journal.claims.claim(lost.run_id, BOB, token()) is not None
    with pytest.raises(ClaimLost):
        journal.replacements.replace(lost, new_run(id=lost.run_id))
    assert "resize" == journal.views.get(lost.run_id).workflow
