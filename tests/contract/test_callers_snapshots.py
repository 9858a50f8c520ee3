"""Callers' transactions that looked at the database before something changed: MariaDB shows them what was then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, select

from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.errors import EventLimitExceeded
from aiki_celery.journal.inbox.inbox import Inbox
from aiki_celery.journal.journal import Journal
from tests.contract.failing import lost_look
from tests.contract.families import end, launched, states
from tests.contract.rows import run_row
from tests.contract.stories import claimed, new_run, queued

PLAIN = Wish(None, None, None)

#: Events that the small inbox holds.
FEW = 2


@pytest.fixture
def caller(journal: Journal) -> Iterator[Connection]:
    """A transaction that is joined, at the level which the database has by itself, and has read already."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("SQLite refuses the write of a transaction that has seen an older database")
    engine = create_engine(journal.connections.url)
    with engine.connect() as connection:
        connection.execute(select(journal.schema.runs.c.id)).all()
        connection.execute(select(journal.schema.events.c.number)).all()
        yield journal.joins.join(connection, "a test").connection
    engine.dispose()


def small(journal: Journal) -> Inbox:
    """Inboxes that are soon full."""
    return Inbox(journal.connections, journal.schema, 30.0, FEW)


def test_step_of_a_fork_that_was_made_meanwhile_is_spared(journal: Journal, caller: Connection) -> None:
    """A cancel of the run that has started it leaves what a live fork waits for."""
    parent = launched(journal, 2)
    fork(journal, parent.id, PLAIN)
    journal.control.cancel_on(caller, parent.id, "replaced")
    caller.commit()
    assert ["queued", "queued"] == states(journal, parent)[1]


def test_step_of_a_fork_that_the_same_transaction_cancels_is_not(
    journal: Journal, caller: Connection
) -> None:
    """Nobody else can see yet that the fork is over."""
    parent = launched(journal, 2)
    copy = fork(journal, parent.id, PLAIN).run_id
    for run_id in (copy, parent.id):
        journal.control.cancel_on(caller, run_id, "not needed")
    caller.commit()
    assert ("cancelled", ["cancelled"] * 2) == (run_row(journal, copy).status, states(journal, parent)[1])


def test_step_of_a_fork_that_has_ended_meanwhile_is_not_spared(journal: Journal, caller: Connection) -> None:
    """The transaction has seen it live."""
    parent = launched(journal, 2)
    copy = fork(journal, parent.id, PLAIN).run_id
    caller.rollback()
    caller.execute(select(journal.schema.runs.c.id)).all()
    end(journal, claimed(journal, copy))
    journal.control.cancel_on(caller, parent.id, "not needed")
    caller.commit()
    assert ["cancelled", "cancelled"] == states(journal, parent)[1]


@pytest.mark.parametrize("is_over", [True, False], ids=["run is over", "run is live"])
def test_event_that_has_come_meanwhile_is_known_by_its_number(
    journal: Journal, caller: Connection, is_over: bool
) -> None:
    """It does not count again, and is no reason to say that the run is over."""
    run_id = queued(journal)
    journal.inbox.send(run_id, "other", "0", "other-1")
    journal.inbox.send(run_id, "paid", "1", "webhook-1")
    if is_over:
        end(journal, claimed(journal, run_id))
    again = journal.inbox.deliver(caller, run_id, "paid", "1", "webhook-1")
    assert (2, False) == (again.number, again.is_new)


def test_inbox_that_was_filled_meanwhile_is_full(journal: Journal, caller: Connection) -> None:
    """Its limit holds, and what it has is known."""
    run_id = queued(journal)
    for number in range(FEW):
        small(journal).send(run_id, "paid", "1", f"webhook-{number}")
    with pytest.raises(EventLimitExceeded):
        small(journal).deliver(caller, run_id, "paid", "1", "webhook-9")
    assert not small(journal).deliver(caller, run_id, "paid", "1", "webhook-0").is_new


@pytest.mark.parametrize("what", ["forks", "reference id"])
def test_what_is_looked_for_outside_is_looked_for_again(
    journal: Journal, caller: Connection, what: str
) -> None:
    """The journal's own connection is lost in the look that the transaction cannot make; the transaction goes on."""
    if journal.connections.dialect != "mysql":
        pytest.skip("the transaction sees what is there now")
    if what == "forks":
        parent = launched(journal, 2)
        fork(journal, parent.id, PLAIN)
        with lost_look(journal):
            journal.control.cancel_on(caller, parent.id, "replaced")
        caller.commit()
        assert ["queued", "queued"] == states(journal, parent)[1]
        return
    there = queued(journal, reference_id="order-1")
    joined, again = journal.joins.join(caller, "a test"), new_run(reference_id="order-1")
    with lost_look(journal):
        assert there == journal.joined_starts.insert(joined, again, return_existing=False)
    caller.commit()
