"""What sends, waits and expects may be tried again after its answer was lost, and is done once."""

from __future__ import annotations

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import StepKind, StepStatus
from tests.contract.failing import lost_answer
from tests.contract.rows import count, run_row
from tests.contract.stories import claimed, queued, step
from tests.contract.test_events_races import NAME, WAITS, parked, send, wait, woken_by


def test_send_twice_counts_once_and_says_so(journal: Journal) -> None:
    """The second try finds its own event, and does not take it for somebody else's."""
    run_id = queued(journal)
    with lost_answer(journal):
        delivery = send(journal, run_id)
    assert (True, 1, 1, 1) == (
        delivery.is_new,
        delivery.number,
        count(journal, "events"),
        run_row(journal, run_id).events,
    )


def test_send_of_what_had_come_before_stays_a_duplicate(journal: Journal) -> None:
    """Whatever answer was lost: a write that wrote nothing was no first one."""
    run_id = queued(journal)
    send(journal, run_id)
    with lost_answer(journal):
        delivery = send(journal, run_id)
    assert (False, None, 1) == (delivery.is_new, delivery.woken, count(journal, "events"))


def test_send_that_wakes_twice_wakes_once_and_gives_the_message(journal: Journal) -> None:
    """The first try has queued the run, and nobody else would send its message soon."""
    claim = parked(journal)
    with lost_answer(journal):
        delivery = send(journal, claim.run_id)
    assert delivery.woken is not None
    assert (claim.run_id, ["event 'ping' has come"]) == (
        delivery.woken.run_id,
        woken_by(journal, claim.run_id),
    )


def test_wait_twice_is_one_wait(journal: Journal) -> None:
    """A run that the first try has parked is parked; its expectation is recorded once."""
    claim = claimed(journal)
    with lost_answer(journal):
        assert wait(journal, claim)
    row = run_row(journal, claim.run_id)
    assert ("awaiting_event", 1, 1, 1) == (
        row.status,
        row.await_count,
        count(journal, "steps"),
        row.history.count("awaiting_event"),
    )


def test_wait_that_saw_the_first_of_two_twice_counts_it_off_once(journal: Journal) -> None:
    """The second try waits for one more, as the first did."""
    claim = claimed(journal)
    send(journal, claim.run_id)
    with lost_answer(journal):
        assert wait(journal, claim, 2)
    assert ('{"ping":1}', 1) == (
        run_row(journal, claim.run_id).await_events,
        run_row(journal, claim.run_id).await_count,
    )


def test_expectation_written_twice_is_recorded_once(journal: Journal) -> None:
    """Beside nothing that is started; and another one's record in its place is no earlier try of ours."""
    claim = claimed(journal)
    expectation = step(
        1,
        epoch=1,
        kind=StepKind.EVENT,
        name=NAME,
        address=f"event:{NAME}",
        status=StepStatus.WAITING,
        due_at=5,
    )
    with lost_answer(journal):
        journal.launches.launch(claim, [expectation], [])
    assert [(1, 5)] == [(record.seq, record.due_at) for record in journal.views.steps(claim.run_id)]
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        journal.launches.launch(claim, [expectation._replace(finished_at=1)], [])


def test_wait_for_steps_alone_forgets_events_it_waited_for(journal: Journal) -> None:
    """An event that is not waited for any more does not count as one that is."""
    claim = parked(journal)
    send(journal, claim.run_id)
    again = claimed(journal, claim.run_id)
    assert journal.launches.wait(again, [], [], {99}, 1, WAITS)
    assert None is run_row(journal, claim.run_id).await_events
    assert None is send(journal, claim.run_id, "id-2").woken
