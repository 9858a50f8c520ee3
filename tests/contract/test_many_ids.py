"""More runs at once than a statement takes parameters: each is dealt with, by as many statements as that takes."""

from __future__ import annotations

import pytest

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.journal import batches
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.transactions.announcements import Announcements
from aiki_celery.model.status import RunKind
from tests.contract.adoptions import adopting
from tests.contract.counting import counting
from tests.contract.families import children_of
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import age, run_row
from tests.contract.stories import ALICE, claimed, finished, queued

#: PostgreSQL takes 65,535 parameters.
MANY = 66_000


@task(name="many-wait")
def wait(word: str) -> str:
    return word


@workflow(name="many-apart")
def apart(run: WorkflowRun) -> list[str]:
    return run.gather(wait.start(run, "left"), wait.start(run, "right"))


def among_many(run_id: str) -> list[str]:
    """The last of many ids; there are no runs of the others."""
    return [*(f"no-such-run-{number}" for number in range(MANY)), run_id]


def announcements(journal: Journal) -> Announcements:
    """The books of messages that follow a commit."""
    return Announcements(journal.connections, journal.schema, 30.0)


def test_messages_that_were_refused_are_noted(journal: Journal) -> None:
    """A broker that is down refuses all that were enqueued together."""
    run_id = queued(journal)
    journal.timers.mark_unpublished(among_many(run_id))
    assert None is run_row(journal, run_id).published_at


def test_messages_that_follow_a_commit_are_looked_after(journal: Journal) -> None:
    """From when they are put off to when they are sent."""
    run_id, books = queued(journal), announcements(journal)
    ids = among_many(run_id)
    with journal.connections.transaction() as connection:
        books.put_off(connection, ids)
    assert None is run_row(journal, run_id).published_at
    assert {run_id: True} == books.look(ids)
    books.mark_sent(ids)
    assert (True, {run_id: False}) == (run_row(journal, run_id).published_at is not None, books.look(ids))


def test_runs_that_were_told_are_confirmed(journal: Journal) -> None:
    """Put off first, and then told."""
    run_id = finished(journal, told=False)
    journal.recovery.free_all(ALICE.worker_id)
    ids = among_many(run_id)
    journal.settlements.put_off(ids, 5)
    assert ("pending", 5) == (run_row(journal, run_id).settlement, run_row(journal, run_id).due_at)
    journal.settlements.confirm(ids)
    assert None is run_row(journal, run_id).settlement


def test_tasks_of_another_service_are_handed_out(journal: Journal) -> None:
    """Their messages are its own affair."""
    run_id = adopting(journal, kind=RunKind.FOREIGN).children[1]
    assert None is not run_row(journal, run_id).due_at
    journal.adoptions.mark_handed_out(among_many(run_id))
    assert None is run_row(journal, run_id).due_at


def test_runs_that_a_worker_has_at_hand_are_spared(journal: Journal) -> None:
    """A worker without a limit of messages may have taken any number of them."""
    held, let_go = claimed(journal).run_id, claimed(journal).run_id
    for run_id in (held, let_go):
        age(journal, run_id, 60, "claimed_at")
    freed, _ = journal.recovery.free_unattended(ALICE.worker_id, among_many(held), 10)
    assert [let_go] == [envelope.run_id for envelope in freed]
    assert ("running", "queued") == (run_row(journal, held).status, run_row(journal, let_go).status)


@pytest.mark.parametrize(("number", "statements"), [(0, 0), (3, 1), (7, 3)])
def test_ids_are_named_in_batches(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int, statements: int
) -> None:
    """One statement as long as one is enough, and none for none."""
    monkeypatch.setattr(batches, "BATCH", 3)
    ids = [queued(journal) for _ in range(number)]
    with counting(journal) as counted:
        journal.timers.mark_unpublished(ids)
    assert statements == len(counted.parameters)
    assert [None] * number == [run_row(journal, run_id).published_at for run_id in ids]


def test_live_fork_is_found_among_many(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that it waits for outlive the run that has started them, which many others may have followed."""
    monkeypatch.setattr(batches, "BATCH", 1)
    house = House(journal)
    run_id = house.enqueue(apart)
    house.take(run_id)
    for is_over in (True, False, True):
        copy = forked(house, run_id)
        if is_over:
            journal.control.cancel(copy, "not needed", force=True)
    journal.control.cancel(run_id, "replaced")
    assert ["queued"] * 2 == [child.status for child in children_of(journal, run_id)]
