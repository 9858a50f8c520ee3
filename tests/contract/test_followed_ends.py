"""A run that others follow tells all of them of its end, whoever writes that end, and whatever they had seen."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, func, select

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract import adoptions
from tests.contract.families import Parent, children_of, wait_for
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import run_row, wipe
from tests.contract.stories import BOB, claimed, queued
from tests.contract.test_family_references import child_of
from tests.harness.invariants import check_families

PLAIN = Wish(None, None, None)

#: On MariaDB a transaction reads what was there at its first read, unless it is told otherwise.
ON_MARIADB = pytest.mark.parametrize(
    "database_url", [pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True, scope="module"
)

ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@task(name="followed-pay", transactional=True)
def pay(what: str) -> str:
    ran.append(what)
    return what


@workflow(name="followed-paying")
def paying(run: WorkflowRun) -> str:
    return pay.start(run, "paid").result()


def test_transactional_step_that_a_fork_follows_ends_once_for_both(journal: Journal) -> None:
    """Its body runs once, and both runs go on with what it gave."""
    house = House(journal)
    run_id = house.enqueue(paying)
    house.take(run_id)
    copy = forked(house, run_id)
    house.take(copy)
    [child] = children_of(journal, run_id)
    assert 1 == child.followers

    house.take(child.id)

    assert ("completed", 1) == ((row := run_row(journal, child.id)).status, row.epoch)
    house.drain()
    ends = [(row.status, row.output) for row in (run_row(journal, one) for one in (run_id, copy))]
    assert ([("completed", '"paid"')] * 2, ["paid"]) == (ends, ran)


def test_adopted_task_that_a_fork_follows_wakes_both(journal: Journal) -> None:
    """Its end is told from outside, by nobody's claim."""
    parent = adoptions.adopting_and_waiting(journal)
    copy = claimed(journal, fork(journal, parent.id, PLAIN).run_id)
    assert wait_for(journal, copy, {1})

    woken = journal.adoptions.settle(parent.children[1], RunStatus.COMPLETED, output="1", why="done")

    assert woken is not None
    waiting = [parent.id, copy.run_id]
    assert (sorted(waiting), ["queued"] * 2) == (
        sorted(envelope.run_id for envelope in woken),
        [run_row(journal, one).status for one in waiting],
    )
    check_families(journal.connections.engine)


@pytest.mark.parametrize("swapped", [False, True], ids=["the fork stops", "the end stops"])
def test_fork_that_comes_to_wait_while_an_adopted_task_ends(journal: Journal, swapped: bool) -> None:
    """Either it finds the outcome and does not wait, or it is told: it never waits for ever."""
    waited = set()

    def prepare() -> Parent:
        wipe(journal)
        return adoptions.adopting_and_waiting(journal)

    def check(parent: Parent, outcome: Outcome) -> None:
        copy, woken = (outcome.second, outcome.first) if swapped else (outcome.first, outcome.second)
        assert isinstance(copy, tuple), outcome
        assert isinstance(woken, list), outcome
        made, waits = copy
        assert ("queued" if waits else "running") == run_row(journal, made).status, outcome
        assert {parent.id, *([made] if waits else [])} == {envelope.run_id for envelope in woken}
        assert "queued" == run_row(journal, parent.id).status
        waited.add(waits)
        check_families(journal.connections.engine)

    def one(parent: Parent) -> Any:
        copy = claimed(journal, fork(journal, parent.id, PLAIN).run_id, BOB)
        return copy.run_id, wait_for(journal, copy, {1})

    def other(parent: Parent) -> Any:
        return journal.adoptions.settle(parent.children[1], RunStatus.COMPLETED, output="1", why="done")

    first, second = (other, one) if swapped else (one, other)
    Interleaving(journal, prepare, first, second, check).explore()
    assert {False, True} == waited


def test_followed_adopted_task_that_is_over_is_not_ended_again(journal: Journal) -> None:
    """Its parent and its follower are told once."""
    parent = adoptions.adopting_and_waiting(journal)
    copy = claimed(journal, fork(journal, parent.id, PLAIN).run_id)
    assert wait_for(journal, copy, {1})
    told = [
        journal.adoptions.settle(parent.children[1], status, output="1", why="done")
        for status in (RunStatus.COMPLETED, RunStatus.FAILED)
    ]
    assert [2, None] == [None if woken is None else len(woken) for woken in told]
    assert "completed" == run_row(journal, parent.children[1]).status


@ON_MARIADB
def test_cancel_in_an_old_snapshot_tells_who_follows_since(journal: Journal) -> None:
    """A caller's transaction that has read before somebody began to wait wakes them all the same."""
    target = queued(journal, workflow="ship", reference_id="order-1", input_hash="same")
    theirs = create_engine(journal.connections.url)
    with theirs.connect() as connection:
        connection.scalar(select(func.count()).select_from(journal.schema.runs))
        claim = claimed(journal)
        record, child = child_of(claim)
        found, is_new = journal.references.launch(claim, record, child, return_existing=True)
        assert (target, False) == (found.child_id, is_new)
        assert wait_for(journal, claim, {1})

        done = journal.control.cancel_on(connection, target, "not needed")
        connection.commit()
    theirs.dispose()

    assert ([claim.run_id], "cancelled", "queued") == (
        [envelope.run_id for envelope in done.envelopes],
        run_row(journal, target).status,
        run_row(journal, claim.run_id).status,
    )
