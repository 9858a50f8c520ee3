"""A claim and a late write of its predecessor, stepped through the dangerous orders on two connections."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, literal, select, text, update

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.pass_statements import PassStatements
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunKind
from tests.contract.adoptions import adopting, take
from tests.contract.families import Parent, launched
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.rows import count, run_row, wipe
from tests.contract.stories import BOB, in_pass, step, token
from tests.harness.eventually import eventually

WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """A second thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def until_it_waits(journal: Journal, late: Future[Any]) -> None:
    """Returns when the other thread waits for a lock; SQLite cannot tell, there all wait for the one writer."""
    question = WAITING.get(journal.connections.dialect)
    if question is None:
        return

    def waits() -> bool:
        assert not late.done(), "it went through without waiting"
        with journal.connections.autocommit() as connection:
            return bool(connection.execute(text(question)).scalar())

    # MariaDB refreshes its list only when nobody has read it for a tenth of a second.
    eventually(waits, 20, "the other connection to wait for a lock", interval=0.25)


def as_row(run_id: str, record: StepRecord) -> dict[str, Any]:
    """A record as columns."""
    return record._asdict() | {"run_id": run_id, "kind": record.kind.value, "status": record.status.value}


def take_over(journal: Journal, run_id: str) -> Any:
    """What a claim by somebody else does to the row."""
    runs = journal.schema.runs
    return update(runs).where(runs.c.id == run_id).values(epoch=runs.c.epoch + 1, owner=BOB.worker_id)


def test_late_append_behind_an_open_claim_is_refused(journal: Journal, beside: ThreadPoolExecutor) -> None:
    """A record that comes while a claim is being made waits for it, and then finds its epoch over."""
    claim, writing = in_pass(journal)
    with journal.connections.transaction() as claiming:
        claiming.execute(take_over(journal, claim.run_id))
        late = beside.submit(writing.append, step(1))
        until_it_waits(journal, late)
    with pytest.raises(ClaimLost):
        late.result(30)
    writing.close()
    assert [] == journal.views.steps(claim.run_id)


def test_claim_behind_an_open_append_reads_its_record(journal: Journal, beside: ThreadPoolExecutor) -> None:
    """A claim that comes while a record is being written waits for it, and then reads it."""
    claim, writing = in_pass(journal)
    statements = PassStatements(journal.connections, journal.schema)
    record = step(1)
    with journal.connections.transaction() as appending:
        fence = {"run": claim.run_id, "fence": claim.epoch, "token": claim.token}
        assert 1 == statements.append.run(appending, **as_row(claim.run_id, record), **fence).rowcount
        late = beside.submit(_free_and_claim, journal, claim.run_id)
        until_it_waits(journal, late)
    writing.close()
    assert [1] == [found.seq for found in late.result(30)]


def _free_and_claim(journal: Journal, run_id: str) -> list[StepRecord]:
    """Takes a run away and claims it; the first statement is the one that must wait."""
    runs = journal.schema.runs
    with journal.connections.transaction() as connection:
        connection.execute(
            update(runs).where(runs.c.id == run_id).values(status="queued", owner=None, claim_token=None)
        )
    taken = journal.claims.claim(run_id, BOB, token())
    assert taken is not None
    return taken[1]


def test_append_without_the_shared_lock_would_slip_past_a_claim(
    journal: Journal, beside: ThreadPoolExecutor
) -> None:
    """The same order, with a fence that does not lock: the zombie's record gets in, which is why ours locks."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time: nothing slips past anything")
    claim, writing = in_pass(journal)
    writing.close()
    runs, steps = journal.schema.runs, journal.schema.steps
    row = as_row(claim.run_id, step(1))
    fenced = select(*(literal(value, steps.c[name].type) for name, value in row.items())).where(
        runs.c.id == claim.run_id, runs.c.epoch == claim.epoch
    )

    def slip() -> None:
        with journal.connections.autocommit() as connection:
            connection.execute(insert(steps).from_select(list(row), fenced))

    with journal.connections.transaction() as claiming:
        claiming.execute(take_over(journal, claim.run_id))
        beside.submit(slip).result(30)
    assert (1, 2) == (count(journal, "steps"), run_row(journal, claim.run_id).epoch)


@pytest.mark.parametrize("kind", [RunKind.STEP, RunKind.ADOPTED])
def test_step_that_is_cancelled_while_it_is_taken(journal: Journal, kind: RunKind) -> None:
    """Whoever takes it gets it, or nothing, and no error: not even between taking it and reading what it is."""
    if kind is RunKind.STEP and journal.connections.dialect != "mysql":
        pytest.skip("one statement takes it and reads it")
    seen = set()

    def prepare() -> Parent:
        wipe(journal)
        return launched(journal, 1) if kind is RunKind.STEP else adopting(journal)

    def take_it(parent: Parent) -> Any:
        if kind is RunKind.STEP:
            return journal.claims.claim(parent.children[1], BOB, token())
        return take(journal, parent.children[1])

    def check(parent: Parent, outcome: Outcome) -> None:
        assert not isinstance(outcome.first, BaseException), outcome
        assert "cancelled" == run_row(journal, parent.children[1]).status
        seen.add(outcome.first is None)

    cancel = partial(journal.control.cancel, reason="not needed")
    Interleaving(journal, prepare, take_it, lambda parent: cancel(parent.children[1]), check).explore()
    assert {False, True} == seen
