"""Writing new runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aiki_celery.errors import ReferenceConflict
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.rows import MICROSECOND, count, run_row
from tests.contract.stories import ALICE, BOB, new_run, queued, token

MANY = 50


def test_insert_queued_expects_its_message_to_be_taken(journal: Journal) -> None:
    """A run is written as published once, and is due for another publication after the gap."""
    row = run_row(journal, queued(journal))
    assert ("queued", 0, 1, 1, 30.0) == (
        row.status,
        row.epoch,
        row.attempt,
        row.deliveries,
        round((row.due_at - row.queued_at) / MICROSECOND, 1),
    )


def test_insert_keeps_every_fact(journal: Journal) -> None:
    """What a run is started with comes back as it was, whatever the characters."""
    facts = {
        "reference_id": "Grüße-💥",
        "queue": "orders",
        "priority": 5,
        "request": '{"chain":[]}',
        "tags": "a b",
        "input": '{"name":"tab\\t 100% :x %(y)s"}',
    }
    row = run_row(journal, queued(journal, **facts))
    assert facts == {name: getattr(row, name) for name in facts}


def test_insert_with_a_delay_is_scheduled_by_the_databases_clock(journal: Journal) -> None:
    """A delayed run is due so many seconds after it was written."""
    row = run_row(journal, queued(journal, delay=90.0))
    assert ("scheduled", 90.0, None) == (
        row.status,
        round((row.due_at - row.created_at) / MICROSECOND, 1),
        row.queued_at,
    )


def test_insert_with_an_eta_is_scheduled_for_that_instant(journal: Journal) -> None:
    """An absolute instant is stored as it is."""
    assert 4_102_444_800_000_001 == run_row(journal, queued(journal, due_at=4_102_444_800_000_001)).due_at


def test_insert_same_reference_and_input_gives_the_existing_run(journal: Journal) -> None:
    """Starting the same thing twice is starting it once."""
    first = queued(journal, reference_id="order-1")
    assert (first, 1) == (queued(journal, reference_id="order-1"), count(journal, "runs"))


def test_insert_same_reference_over_versions_gives_the_existing_run(journal: Journal) -> None:
    """A reference id is unique per workflow name, whatever the version."""
    first = queued(journal, reference_id="order-1")
    assert first == queued(journal, reference_id="order-1", version="2.0.0")


def test_insert_same_reference_of_another_workflow_is_another_run(journal: Journal) -> None:
    """Reference ids of different workflows do not meet."""
    first = queued(journal, reference_id="order-1")
    assert first != queued(journal, reference_id="order-1", workflow="other")


def test_insert_references_are_compared_byte_by_byte(journal: Journal) -> None:
    """Case and accents tell reference ids apart on every database."""
    ids = {queued(journal, reference_id=name) for name in ("Order", "order", "ordér", "örder")}
    assert 4 == len(ids)


def test_insert_same_reference_and_other_input_is_a_conflict(journal: Journal) -> None:
    """The refusal names the workflow, the reference id and the run that has it."""
    first = queued(journal, reference_id="order-1")
    with pytest.raises(ReferenceConflict) as caught:
        queued(journal, reference_id="order-1", input_hash="another")
    assert ("greet", "order-1", first) == caught.value.args


def test_insert_same_reference_can_return_the_existing_run(journal: Journal) -> None:
    """With `on_conflict="return_existing"`, other input gives that run too."""
    first = queued(journal, reference_id="order-1")
    again = new_run(reference_id="order-1", input_hash="another")
    assert first == journal.starts.insert(again, return_existing=True)


def test_insert_same_reference_fifty_times_at_once_makes_one_run(journal: Journal) -> None:
    """Fifty threads that start one reference id all get the id of one run."""
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: queued(journal, reference_id="order-1"), range(MANY)))
    assert (1, 1) == (len(ids), count(journal, "runs"))


def test_insert_many_writes_every_run(journal: Journal) -> None:
    """Many runs are written, each queued."""
    runs = [new_run(input=f'{{"name":"{number}"}}') for number in range(MANY)]
    journal.starts.insert_many(runs)
    found = {run.id: (run.input, run.status) for run in journal.views.find(limit=100)}
    assert {run.id: (run.input, RunStatus.QUEUED) for run in runs} == found


def test_insert_many_delayed_schedules_every_run(journal: Journal) -> None:
    """A delay holds for each of them."""
    journal.starts.insert_many([new_run(delay=60.0) for _ in range(3)])
    assert [RunStatus.SCHEDULED] * 3 == [run.status for run in journal.views.find()]


def test_insert_claimed_belongs_to_who_received_the_message(journal: Journal) -> None:
    """A run whose message carried its input is written as taken, with the first epoch."""
    run = new_run()
    now = journal.starts.insert_claimed(run, ALICE, token())
    row = run_row(journal, run.id)
    assert ("running", 1, ALICE.worker_id, ALICE.pid) == (row.status, row.epoch, row.owner, row.owner_pid)
    assert now is not None
    assert 0 <= now - row.created_at < 60 * MICROSECOND


def test_insert_claimed_twice_is_refused_to_the_second(journal: Journal) -> None:
    """A message that is delivered twice makes one run, held by who was first."""
    run = new_run()
    journal.starts.insert_claimed(run, ALICE, token())
    assert (None, ALICE.worker_id) == (
        journal.starts.insert_claimed(run, BOB, token()),
        run_row(journal, run.id).owner,
    )
