"""Queueing runs whose time has come."""

from __future__ import annotations

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import TIMED, RunStatus
from tests.contract.rows import MICROSECOND, run_row, set_run
from tests.contract.stories import ALICE, DEFINITION, parked, queued, token


def test_seconds_to_next_is_none_when_nobody_waits(journal: Journal) -> None:
    """Queued runs do not count: they wait for a worker, not for a time."""
    queued(journal)
    assert None is journal.timers.seconds_to_next()


def test_seconds_to_next_is_that_of_the_earliest(journal: Journal) -> None:
    """Of all that wait for a time, in whatever state, the earliest decides."""
    parked(journal, due_in=3000)
    parked(journal, RunStatus.AWAITING_RETRY, due_in=1000)
    queued(journal, delay=2000.0)
    left = journal.timers.seconds_to_next()
    assert left is not None
    assert 900 < left <= 1000


def test_seconds_to_next_is_negative_when_one_is_due(journal: Journal) -> None:
    """What is overdue is not waited for."""
    parked(journal, due_in=3000)
    parked(journal, due_in=-5)
    left = journal.timers.seconds_to_next()
    assert left is not None
    assert left <= -5


@pytest.mark.parametrize("status", sorted(TIMED))
def test_queue_due_queues_what_is_due(journal: Journal, status: RunStatus) -> None:
    """A due run is queued, and counts as published once, since its message is sent next."""
    run_id = queued(journal, delay=1.0)
    set_run(journal, run_id, status=status.value, due_at=1)
    envelopes = journal.timers.queue_due([DEFINITION], 10)
    row = run_row(journal, run_id)
    assert ([run_id], "queued", 1, 30.0) == (
        [envelope.run_id for envelope in envelopes],
        row.status,
        row.deliveries,
        round((row.due_at - row.queued_at) / MICROSECOND, 1),
    )


def test_queue_due_leaves_what_is_not_due(journal: Journal) -> None:
    """No timer is early."""
    run_id = parked(journal, due_in=60)
    assert ([], "sleeping") == (journal.timers.queue_due([DEFINITION], 10), run_row(journal, run_id).status)


def test_queue_due_leaves_definitions_it_was_not_asked_for(journal: Journal) -> None:
    """A run of a version this process does not have is left for a worker that has it."""
    run_id = parked(journal, due_in=-1, version="2.0.0")
    none = journal.timers.queue_due([DEFINITION], 10)
    there = journal.timers.queue_due([DEFINITION, "greet@2.0.0"], 10)
    assert ([], [run_id]) == (none, [envelope.run_id for envelope in there])


def test_queue_due_takes_the_earliest_first_and_no_more_than_asked(journal: Journal) -> None:
    """A batch is bounded, and holds who has waited longest."""
    runs = [parked(journal, due_in=-seconds) for seconds in (10, 30, 20)]
    batch = journal.timers.queue_due([DEFINITION], 2)
    assert [runs[1], runs[2]] == [envelope.run_id for envelope in batch]


def test_queue_due_carries_what_a_message_needs(journal: Journal) -> None:
    """Queue, priority and Celery's options go into the message as they were stored."""
    parked(journal, due_in=-1, queue="q", priority=7, request='{"a":1}')
    (envelope,) = journal.timers.queue_due([DEFINITION], 1)
    assert (DEFINITION, "q", 7, '{"a":1}') == (
        envelope.definition,
        envelope.queue,
        envelope.priority,
        envelope.request,
    )


def test_mark_unpublished_makes_a_queued_run_due_for_publication(journal: Journal) -> None:
    """A run whose message the broker refused is published by a sweep soon."""
    run_id = queued(journal)
    journal.timers.mark_unpublished([run_id])
    row = run_row(journal, run_id)
    assert (None, True) == (row.published_at, row.due_at - row.queued_at < 10 * MICROSECOND)


def test_mark_unpublished_leaves_a_run_that_was_taken_meanwhile(journal: Journal) -> None:
    """A run that is being run is not published again."""
    run_id = queued(journal)
    journal.claims.claim(run_id, ALICE, token())
    journal.timers.mark_unpublished([run_id])
    assert ("running", None) == (run_row(journal, run_id).status, run_row(journal, run_id).due_at)
