"""The driver's own cursor, for the one statement that each step costs.

SQLAlchemy makes a context, a cursor and a result for every statement, which takes about as long as some databases take
for the statement itself. A pass writes record after record by the same statement, so it keeps one cursor of the driver
and lets SQLAlchemy have only what is out of the ordinary.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection

from aiki_celery.journal.statement import Statement


class DriverCursor:
    """A cursor for the writes of one pass.

    Args:
        connection: An autocommit connection.
    """

    __slots__ = ("_connection", "_cursor", "_dialect", "_error", "_events", "_is_logged")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._error = connection.dialect.loaded_dbapi.Error
        self._events = connection.engine.dispatch
        # SQLAlchemy as well looks once per connection whether it is to log.
        self._is_logged = connection.engine.logger.isEnabledFor(logging.INFO)
        self._cursor = connection.connection.cursor()

    def wrote_one(self, statement: Statement, parameters: Any) -> bool:
        """Execute a statement that writes one row.

        Args:
            statement: It must be safe to execute twice.
            parameters: Its parameters, arranged.

        Returns:
            Whether it did write one. If not, execute it by SQLAlchemy, which says what is the matter. It was not even
            tried if somebody follows the statements through SQLAlchemy's events or its log.
        """
        if self._is_logged or self._events.before_cursor_execute or self._events.after_cursor_execute:
            return False
        try:
            self._dialect.do_execute(self._cursor, statement.sql, parameters)
            return bool(self._cursor.rowcount == 1)
        except self._error:
            return False
        except BaseException:
            # Interrupted in the middle of an exchange with the server: nobody must use this connection again.
            self._connection.invalidate()
            raise
