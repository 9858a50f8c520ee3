"""One event for many runs: each has its own outcome, and there may be more of them than one query can name."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from aiki_celery import WorkflowRun, event, workflow
from aiki_celery.journal.dialect import is_transient
from aiki_celery.journal.inbox.inbox import REFERENCES_AT_ONCE, Inbox
from aiki_celery.journal.journal import Journal
from tests.contract.counting import counting
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.stories import queued

called = event("many-called", str)

#: More than PostgreSQL takes in one statement.
CROWD = 66_000


@workflow(name="many-order")
def order(run: WorkflowRun) -> str:
    """Waits for the call."""
    return run.wait_for(called)


def orders(journal: Journal, *reference_ids: str) -> list[str]:
    """Runs with these reference ids."""
    return [queued(journal, workflow=order.name, reference_id=one) for one in reference_ids]


def test_full_inbox_keeps_nothing_from_the_others(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told to be full, in its place, and those after it have the event."""
    runs = orders(journal, "a", "b", "c")
    monkeypatch.setattr(journal, "inbox", Inbox(journal.connections, journal.schema, 30.0, max_events=1))
    house = House(journal)
    house.sender.send(runs[1], order.name, called, "earlier")

    outcomes = house.sender.send_many(order.name, called, "all", ["a", "b", "c"])

    expected = [("a", runs[0], "delivered"), ("b", runs[1], "full"), ("c", runs[2], "delivered")]
    assert expected == [(one.reference_id, one.run_id, one.status) for one in outcomes]
    assert [1, 1, 1] == [run_row(journal, run_id).events for run_id in runs]


def test_runs_are_found_among_more_reference_ids_than_a_statement_takes(journal: Journal) -> None:
    """They are asked for in parts; the first and the last of each part are found."""
    names = [f"order-{number}" for number in range(CROWD)]
    there = [0, REFERENCES_AT_ONCE - 1, REFERENCES_AT_ONCE, CROWD - 1]
    runs = orders(journal, *(names[place] for place in there))
    house = House(journal)

    with counting(journal) as counted:
        found = journal.inbox.runs_of(order.name, names)

    assert -(-CROWD // REFERENCES_AT_ONCE) == len(counted.statements)
    assert dict(zip((names[place] for place in there), runs, strict=True)) == found
    outcomes = house.sender.send_many(order.name, called, "all", names)
    assert (names, set(there)) == (
        [one.reference_id for one in outcomes],
        {place for place, one in enumerate(outcomes) if one.status == "delivered"},
    )


def test_statement_with_too_many_parameters_is_no_lost_connection(journal: Journal) -> None:
    """It would have as many the next time; MariaDB's driver writes them into the text, and has no limit."""
    runs, dialect = journal.schema.runs, journal.connections.dialect
    many = [str(number) for number in range(260_000 if dialect == "sqlite" else CROWD)]
    query = select(runs.c.id).where(runs.c.id.in_(many))
    if dialect in ("mysql", "mariadb"):
        assert [] == journal.connections.read(query)
        return
    with pytest.raises(OperationalError) as caught, journal.connections.autocommit() as connection:
        connection.execute(query)
    assert not is_transient(caught.value)
