"""What a run is asked for, and what a pass makes of it, is done once if it is tried again after a lost answer."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery.journal.asked import ControlAsked
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.controlled import REASON, facts, kinds, paused, sleeping
from tests.contract.failing import lost_answer
from tests.contract.families import launched, starts, waiting
from tests.contract.rows import run_row
from tests.contract.stories import claimed, finished, in_pass, queued, step
from tests.harness.invariants import check_families


@pytest.mark.parametrize("begun", [False, True])
def test_cancel_twice_is_one_cancel(journal: Journal, begun: bool) -> None:
    """The second try says what the first one did, and gives the message again."""
    run_id = sleeping(journal) if begun else queued(journal)
    with lost_answer(journal):
        done = journal.control.cancel(run_id, REASON)
    row = run_row(journal, run_id)
    assert done.is_new
    assert ([run_id] if begun else []) == [envelope.run_id for envelope in done.envelopes]
    assert 1 == row.history.count("cancelled")


def test_cancel_of_a_step_twice_counts_it_off_once(journal: Journal) -> None:
    """Its parent waits for the other one still."""
    parent = waiting(journal, 2)
    with lost_answer(journal):
        journal.control.cancel(parent.children[1], REASON)
    row = run_row(journal, parent.id)
    assert ("awaiting_steps", 1) == (row.status, row.await_count)
    check_families(journal.connections.engine)


def test_pause_resume_and_wake_twice(journal: Journal) -> None:
    """Each is done once, and told as done."""
    run_id = sleeping(journal)
    with lost_answer(journal):
        assert journal.control_moves.pause(run_id).is_new
    with lost_answer(journal):
        done = journal.control_moves.resume(run_id)
    assert (True, [run_id]) == (done.is_new, [envelope.run_id for envelope in done.envelopes])
    run_id = sleeping(journal)
    with lost_answer(journal):
        done = journal.control_moves.wake(run_id)
    assert [run_id] == [envelope.run_id for envelope in done.envelopes]
    assert [StepKind.SLEEP, StepKind.WAKE] == kinds(journal, run_id)


def test_retry_twice_is_one_retry(journal: Journal) -> None:
    """The second try gives the message that the first one could not; nobody else would send it soon."""
    run_id = finished(journal, RunStatus.FAILED)
    with lost_answer(journal):
        again = journal.second_chances.retry(run_id)
    assert again is not None
    row = run_row(journal, run_id)
    assert (run_id, "queued", 2) == (again.run_id, row.status, row.attempt)
    assert [StepKind.RETRY] == kinds(journal, run_id)


def test_retry_that_was_taken_meanwhile_has_no_message_left(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep may have sent it while the answer was waited for."""
    run_id = finished(journal, RunStatus.FAILED)
    begin, tries = journal.connections.transaction, iter((False, True))

    def begun() -> Any:
        if next(tries, False):
            claimed(journal, run_id)
        return begin()

    monkeypatch.setattr(journal.connections, "transaction", begun)
    with lost_answer(journal):
        assert None is journal.second_chances.retry(run_id)
    assert ("running", 2) == (run_row(journal, run_id).status, run_row(journal, run_id).epoch)


def test_deadline_enforced_twice(journal: Journal) -> None:
    """It is one cancel."""
    run_id = sleeping(journal)
    with lost_answer(journal):
        assert journal.deadlines.enforce(run_id).is_new
    assert ("queued", "cancel", "its deadline has passed") == facts(journal, run_id)


def test_pause_heeded_twice_keeps_the_record_once(journal: Journal) -> None:
    """What was finished is written once."""
    claim = claimed(journal)
    journal.control_moves.pause(claim.run_id)
    with lost_answer(journal):
        assert journal.obedience.pause(claim, [step(1)], 1, "paused by hand")
    assert ("paused", [StepKind.TASK]) == (
        run_row(journal, claim.run_id).status,
        kinds(journal, claim.run_id),
    )


def test_cancel_noted_twice_is_one_record(journal: Journal) -> None:
    """The second try finds what the first one wrote."""
    claim = claimed(journal)
    journal.control.cancel(claim.run_id, REASON)
    records, children = starts(claim, [2])
    with lost_answer(journal):
        noted = journal.obedience.cancel(claim, [step(1)], records, children, claim.now)
    assert noted is not None
    assert [StepKind.TASK, StepKind.LAUNCH, StepKind.CANCEL] == kinds(journal, claim.run_id)
    assert journal.views.steps(claim.run_id)[-1]._replace(input=None) == noted
    check_families(journal.connections.engine)


def test_record_whose_answer_was_lost_is_not_written_again_by_a_cancel(journal: Journal) -> None:
    """The database had it before the cancel, and the pass keeps what it thinks was not written."""
    claim, writing = in_pass(journal)
    record = step(1)
    writing.append(record)
    journal.control.cancel(claim.run_id, REASON)
    with pytest.raises(ControlAsked):
        writing.append(record)
    noted = journal.obedience.cancel(claim, [record], [], [], claim.now)
    writing.close()
    assert noted is not None
    assert ([StepKind.TASK, StepKind.CANCEL], 2) == (kinds(journal, claim.run_id), noted.seq)


def test_starts_whose_answer_was_lost_are_not_written_again_by_a_cancel(journal: Journal) -> None:
    """They were cancelled with the run, like any that it had started."""
    parent = launched(journal, 2)
    records, children = starts(parent.claim, [1, 2])
    journal.control.cancel(parent.id, REASON)
    noted = journal.obedience.cancel(parent.claim, [], records, children, parent.claim.now)
    assert noted is not None
    assert 3 == noted.seq
    assert ["cancelled", "cancelled"] == [
        run_row(journal, child_id).status for child_id in parent.children.values()
    ]
    check_families(journal.connections.engine)


@pytest.mark.parametrize("make", [paused, queued])
def test_force_twice(journal: Journal, make: object) -> None:
    """It is over once."""
    run_id = make(journal)  # type: ignore[operator]
    with lost_answer(journal):
        assert journal.control.cancel(run_id, REASON, force=True).is_new
    assert 1 == run_row(journal, run_id).history.count("cancelled\t")
