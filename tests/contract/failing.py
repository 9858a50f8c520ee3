"""Losing the answer of a write: the database has committed it, and the caller is told that the connection is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from aiki_celery.journal.journal import Journal

WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Lost:
    """How many answers were lost: a test in which none was proves nothing."""

    answers: int = 0


@contextmanager
def lost_answer(journal: Journal) -> Iterator[Lost]:
    """Loses the answer of the first write that is committed inside, and of no other."""
    lost, engine, engines = Lost(), journal.connections.engine, journal.connections.engines
    commit = engine.dialect.do_commit

    def lose() -> None:
        if not lost.answers:
            lost.answers += 1
            raise OperationalError(
                "COMMIT", {}, Exception("the connection is gone"), connection_invalidated=True
            )

    def after_execute(connection: Any, _: Any, statement: str, *__: Any) -> None:
        autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if autocommit and statement.startswith(WRITES):
            lose()

    def commit_and_lose(connection: Any) -> None:
        commit(connection)
        lose()

    for listened in engines:
        event.listen(listened, "after_cursor_execute", after_execute)
    engine.dialect.do_commit = commit_and_lose  # type: ignore[method-assign]
    try:
        yield lost
    finally:
        for listened in engines:
            event.remove(listened, "after_cursor_execute", after_execute)
        engine.dialect.do_commit = commit  # type: ignore[method-assign]
    assert lost.answers == 1, "no answer was lost: the test shows nothing"


@contextmanager
def lost_look(journal: Journal, table: str = "") -> Iterator[Lost]:
    """Loses the connection of the first look inside, at a table, that is no part of a transaction; of no other."""
    lost = Lost()

    def before_execute(connection: Any, _: Any, statement: str, *__: Any) -> None:
        autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if autocommit and statement.startswith("SELECT") and table in statement and not lost.answers:
            lost.answers += 1
            raise OperationalError(
                statement, {}, Exception("the connection is gone"), connection_invalidated=True
            )

    for listened in journal.connections.engines:
        event.listen(listened, "before_cursor_execute", before_execute)
    try:
        yield lost
    finally:
        for listened in journal.connections.engines:
            event.remove(listened, "before_cursor_execute", before_execute)
    assert lost.answers == 1, "nobody looked: the test shows nothing"
