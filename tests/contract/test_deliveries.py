"""Queued runs that nobody has taken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings
from tests.contract.rows import MICROSECOND, age, insert_rows, run_row
from tests.contract.stories import DEFINITION, in_pass, parked, queued
from tests.contract.test_plans import run_of

#: More runs than one look reads.
LARGE = 1_100

#: Gaps between publications of one run, in seconds, with `redelivery_after` at its default: doubling, up to 10 minutes.
GAPS = [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]


def unpublished(journal: Journal) -> str:
    """A queued run whose message was never accepted, due now."""
    claim, writing = in_pass(journal)
    writing.hand_over("drain")
    writing.close()
    return claim.run_id


def overdue(journal: Journal, seconds: float = 31, **facts: object) -> str:
    """A queued run that was published so many seconds ago, and not taken."""
    run_id = queued(journal, **facts)
    age(journal, run_id, seconds)
    return run_id


def test_has_overdue_tells_the_two_kinds_apart(journal: Journal) -> None:
    """Runs never published and runs published too long ago are told apart; fresh and sleeping ones are neither."""
    queued(journal)
    parked(journal, due_in=-100)
    seen = [journal.deliveries.has_overdue()]
    overdue(journal)
    seen.append(journal.deliveries.has_overdue())
    unpublished(journal)
    seen.append(journal.deliveries.has_overdue())
    assert [(False, False), (False, True), (True, True)] == seen


def backlog(journal: Journal, number: int, **facts: Any) -> None:
    """So many queued runs that nobody has taken, long overdue."""
    instant = journal.now() - 600 * MICROSECOND
    times = {"due_at": instant, "queued_at": instant, "published_at": instant}
    rows = [run_of(place, RunStatus.QUEUED, **times | facts) for place in range(number)]
    insert_rows(journal, "runs", rows)


@pytest.mark.parametrize("published", [True, False], ids=["never published", "published"])
def test_has_overdue_sees_past_a_backlog_of_the_other_kind(journal: Journal, published: bool) -> None:
    """However many are due before."""
    backlog(journal, LARGE, **({} if published else {"published_at": None}))
    assert (not published, published) == journal.deliveries.has_overdue()
    (unpublished if published else overdue)(journal)
    assert (True, True) == journal.deliveries.has_overdue()


def test_run_that_was_never_published_is_sent_past_what_the_broker_holds(journal: Journal) -> None:
    """The broker has the whole backlog: none of it is published again, and the one it has not is sent at once."""
    backlog(journal, LARGE)
    run_id = unpublished(journal)
    sent: list[str] = []
    context: Any = SimpleNamespace(
        journal=journal,
        settings=AikiSettings(),
        definitions=lambda: [DEFINITION],
        publish=lambda envelopes: sent.extend(envelope.run_id for envelope in envelopes),
        dispatcher=SimpleNamespace(depth=lambda queue: LARGE + len(sent)),
    )
    sweep = Redelivery(context)
    assert [1, 0, 0] == [sweep.sweep() for _ in range(3)]
    assert [run_id] == sent


def test_take_unpublished_gives_each_once(journal: Journal) -> None:
    """A run that was taken to be published counts as published."""
    run_id = unpublished(journal)
    first = journal.deliveries.take_unpublished([DEFINITION], 10)
    again = journal.deliveries.take_unpublished([DEFINITION], 10)
    row = run_row(journal, run_id)
    assert ([run_id], [], 1, 30.0) == (
        [envelope.run_id for envelope in first],
        again,
        row.deliveries,
        round((row.due_at - row.published_at) / MICROSECOND, 1),
    )


def test_take_overdue_gaps_grow_to_ten_minutes(journal: Journal) -> None:
    """Each publication of a run that nobody takes waits twice as long for the next, up to the longest gap."""
    run_id = overdue(journal)
    gaps = []
    for _ in GAPS:
        assert 1 == len(journal.deliveries.take_overdue([DEFINITION], None, 10))
        row = run_row(journal, run_id)
        gaps.append(round((row.due_at - row.published_at) / MICROSECOND, 1))
        age(journal, run_id, 601)
    assert GAPS == gaps


def test_take_overdue_takes_one_queue_only(journal: Journal) -> None:
    """What is missing is missing from one queue."""
    overdue(journal)
    mine = overdue(journal, queue="orders")
    taken = journal.deliveries.take_overdue([DEFINITION], "orders", 10)
    assert ([mine], [None]) == (
        [envelope.run_id for envelope in taken],
        journal.deliveries.overdue_queues(),
    )


def test_take_overdue_takes_the_oldest_and_no_more_than_asked(journal: Journal) -> None:
    """A batch is bounded, and holds the oldest."""
    runs = [overdue(journal, seconds) for seconds in (40, 60, 50)]
    taken = journal.deliveries.take_overdue([DEFINITION], None, 2)
    assert [runs[1], runs[2]] == [envelope.run_id for envelope in taken]


def test_take_overdue_can_ask_for_a_least_age(journal: Journal) -> None:
    """Runs published again in spite of a full queue are long overdue."""
    overdue(journal, 100)
    old = overdue(journal, 400)
    taken = journal.deliveries.take_overdue([DEFINITION], None, 10, older_than=300)
    assert [old] == [envelope.run_id for envelope in taken]


def test_take_leaves_definitions_it_was_not_asked_for(journal: Journal) -> None:
    """A run of a version this process does not have is not published by it."""
    overdue(journal, version="2.0.0")
    assert [] == journal.deliveries.take_overdue([DEFINITION], None, 10)


def test_queued_per_queue_counts_what_should_be_in_the_broker(journal: Journal) -> None:
    """Published queued runs count, whether overdue or not; unpublished and sleeping ones do not."""
    queued(journal)
    overdue(journal)
    queued(journal, queue="orders")
    unpublished(journal)
    parked(journal)
    assert {None: 2, "orders": 1} == journal.deliveries.queued_per_queue()


def test_stall_undelivered_stalls_only_what_waited_too_long(journal: Journal) -> None:
    """A run that nobody took for that long is stalled, and says why; a younger one is not."""
    old, young = overdue(journal, 86_401), overdue(journal, 80_000)
    assert 1 == journal.deliveries.stall_undelivered(86_400)
    assert ("stalled", "undelivered", "queued") == (
        run_row(journal, old).status,
        run_row(journal, old).reason,
        run_row(journal, young).status,
    )
