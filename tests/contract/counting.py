"""Counting what a database is asked, through SQLAlchemy's own events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event

from aiki_celery.journal.journal import Journal

READS = ("SELECT", "EXPLAIN", "WITH", "PRAGMA")


@dataclass
class Counted:
    """What was asked.

    Attributes:
        statements: The statements' texts; SQLite's explicit BEGIN, which other drivers send unseen, is left out.
        executemany: Those of them that carried many rows.
        commits: Transactions that changed something: explicit commits, and writes under autocommit.
        checkouts: Connections taken from the pool.
        parameters: The parameters of each statement.
    """

    statements: list[str] = field(default_factory=list)
    executemany: list[str] = field(default_factory=list)
    commits: int = 0
    checkouts: int = 0
    parameters: list[Any] = field(default_factory=list)

    @property
    def cost(self) -> tuple[int, int]:
        """Statements and commits."""
        return len(self.statements), self.commits


@contextmanager
def counting(journal: Journal) -> Iterator[Counted]:
    """Counts what is asked of the journal's database inside."""
    counted = Counted()

    def on_execute(connection: Any, _: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if statement.startswith("BEGIN"):
            return
        counted.statements.append(statement)
        counted.parameters.append(parameters)
        if many:
            counted.executemany.append(statement)
        autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if autocommit and not statement.lstrip().upper().startswith(READS):
            counted.commits += 1

    def on_commit(_: Any) -> None:
        counted.commits += 1

    def on_checkout(*_: Any) -> None:
        counted.checkouts += 1

    listeners = [
        listener
        for engine in journal.connections.engines
        for listener in (
            (engine, "before_cursor_execute", on_execute),
            (engine, "commit", on_commit),
            (engine.pool, "checkout", on_checkout),
        )
    ]
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield counted
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)
