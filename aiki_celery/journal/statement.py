"""A statement that is built and compiled once and executed many times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, CursorResult, Dialect, or_
from sqlalchemy.sql import ClauseElement


class Statement:
    """A compiled statement.

    Executing it skips SQLAlchemy's building, caching and compiling, which cost more than some databases take for the
    statement itself.

    Args:
        clause: The statement; its variable parts are ``bindparam``.
        dialect: The database it is for.
    """

    __slots__ = ("_constants", "_positions", "sql")

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        self.sql = str(compiled)
        self._constants: dict[str, Any] = dict(compiled.params)
        self._positions: list[str] | None = getattr(compiled, "positiontup", None)

    def run(self, connection: Connection, **parameters: Any) -> CursorResult[Any]:
        """Execute the statement with these parameters."""
        return self.run_arranged(connection, self.arranged(parameters))

    def run_arranged(self, connection: Connection, arranged: Any) -> CursorResult[Any]:
        """Execute the statement with parameters that are arranged already."""
        return connection.exec_driver_sql(self.sql, arranged)

    def run_many(self, connection: Connection, rows: list[dict[str, Any]]) -> CursorResult[Any]:
        """Execute the statement once for each row, as one call of the driver."""
        return connection.exec_driver_sql(self.sql, [self.arranged(row) for row in rows])

    def arranged(self, parameters: dict[str, Any]) -> Any:
        """Give parameters the form in which the driver takes them."""
        values = self._constants | parameters
        if self._positions is None:
            return values
        return tuple([values[name] for name in self._positions])


def is_any(column: Any, values: Iterable[str]) -> ColumnElement[bool]:
    """Give the SQL of "one of these", spelled out: an ``IN`` would be expanded anew at each execution."""
    return or_(*(column == value for value in values))
