"""Records are written by the driver's own cursor, and by SQLAlchemy where that is watched or does not work out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.journal import Journal
from tests.contract.counting import counting
from tests.contract.stories import ALICE, in_pass, step


@contextmanager
def executing(
    journal: Journal, instead: Callable[[Callable[..., None], Any, str, Any], None]
) -> Iterator[list[str]]:
    """Puts something around the first statement that the driver executes inside; gives the statements."""
    dialect = journal.connections.engine.dialect
    execute, seen = dialect.do_execute, []

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        seen.append(statement)
        if len(seen) == 1:
            instead(execute, cursor, statement, parameters)
        else:
            execute(cursor, statement, parameters, context)

    dialect.do_execute = do_execute  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        dialect.do_execute = execute  # type: ignore[method-assign]


def gone(journal: Journal) -> Exception:
    """What the driver raises when the server is gone."""
    error: Exception = journal.connections.engine.dialect.loaded_dbapi.OperationalError(
        "the connection is gone"
    )
    return error


def test_record_is_written_by_one_statement_when_nobody_watches(journal: Journal) -> None:
    """The driver's cursor executes it, and nobody else does."""
    claim, writing = in_pass(journal)
    with executing(journal, lambda execute, *statement: execute(*statement)) as seen:
        writing.append(step(1))
    writing.close()
    assert ([1], 1) == ([found.seq for found in journal.views.steps(claim.run_id)], len(seen))


def test_whoever_begins_to_watch_in_the_middle_of_a_pass_sees_each_statement(journal: Journal) -> None:
    """SQLAlchemy's events are told of every record from there on."""
    claim, writing = in_pass(journal)
    writing.append(step(1))
    with counting(journal) as counted:
        writing.append(step(2))
        writing.append(step(3))
    writing.append(step(4))
    writing.close()
    assert ((2, 2), 4) == (counted.cost, len(journal.views.steps(claim.run_id)))


def test_sqlalchemy_logs_the_statements_where_it_is_told_to(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """`sqlalchemy.engine` at INFO shows the records as it shows everything else."""
    _, writing = in_pass(journal)
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        writing.append(step(1))
    writing.close()
    assert "INSERT INTO aiki_steps" in caplog.text


def test_lost_answer_of_the_driver_is_one_record(journal: Journal) -> None:
    """The record was committed and its answer lost: SQLAlchemy tries again, and finds it written."""
    claim, writing = in_pass(journal)

    def lose(execute: Callable[..., None], *statement: Any) -> None:
        execute(*statement)
        raise gone(journal)

    with executing(journal, lose):
        writing.append(step(1))
    writing.append(step(2))
    writing.close()
    assert [1, 2] == [found.seq for found in journal.views.steps(claim.run_id)]


def test_error_of_the_driver_is_mended_by_sqlalchemy(journal: Journal) -> None:
    """Nothing was written by the driver: SQLAlchemy writes it."""
    claim, writing = in_pass(journal)

    def fail(*_: Any) -> None:
        raise gone(journal)

    with executing(journal, fail):
        writing.append(step(1))
    writing.close()
    assert [1] == [found.seq for found in journal.views.steps(claim.run_id)]


def test_connection_that_was_interrupted_is_not_used_again(journal: Journal) -> None:
    """An exception of somebody else's, of a time limit say, leaves the pool without that connection."""
    _, writing = in_pass(journal)
    used: list[Any] = []

    def interrupt(_: Callable[..., None], cursor: Any, *__: Any) -> None:
        used.append(cursor.connection)
        raise KeyboardInterrupt

    with executing(journal, interrupt), pytest.raises(KeyboardInterrupt):
        writing.append(step(1))
    writing.close()
    with journal.connections.autocommit() as connection:
        assert connection.connection.driver_connection is not used[0]


def test_record_is_refused_on_the_cursor_that_wrote_the_one_before(journal: Journal) -> None:
    """A cursor that has been kept sees that the run was taken away."""
    claim, writing = in_pass(journal)
    writing.append(step(1))
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    with pytest.raises(ClaimLost):
        writing.append(step(2))
    writing.close()
    assert [1] == [found.seq for found in journal.views.steps(claim.run_id)]
