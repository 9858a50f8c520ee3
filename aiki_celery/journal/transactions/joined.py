"""Writing inside somebody else's transaction: what is written exists exactly if that transaction commits.

SQLAlchemy's ``commit`` event comes before the commit, and a session's ``after_commit`` also where an outer transaction
is still open. So what is to follow the commit hangs on the one call that commits the connection itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

logger = logging.getLogger("aiki_celery.journal")

#: The call of a connection that commits it. If a later SQLAlchemy has another, sweeps send the messages.
_COMMITS = "_commit_impl"


class JoinedTransaction:
    """A transaction of the caller's, on a connection of SQLAlchemy's, for as long as it is open.

    Args:
        connection: A connection to the journal's database; a transaction is begun if none is.
        table: A table of the journal's, as SQL names it.

    Attributes:
        connection: What statements run on. Nothing here commits it, rolls it back or tries a statement again.
        shared: What those who write in it keep for as long as it is open.
    """

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = connection
        self._table = table
        self.shared: dict[Any, Any] = {}
        self._transaction = connection.get_transaction() or connection.begin()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def may_be_undone(self) -> bool:
        """Whether what is written now may be rolled back by itself, to a savepoint, and the transaction yet commit."""
        return self.connection.in_nested_transaction()

    def begin_writing(self) -> None:
        """Before what is read decides about what is written: let nobody else write, where rows cannot be locked.

        SQLite would let another connection write in between, and Python's driver may not even have begun a transaction.
        """
        if self.connection.dialect.name == "sqlite":
            self.connection.exec_driver_sql(f"DELETE FROM {self._table} WHERE 1 = 0")

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after the commit; never if the transaction is rolled back, or ends with its process.

        An ``Exception`` it raises is logged and goes no further: the commit has happened.
        """
        if not self._callbacks:
            vars(self.connection)[_COMMITS] = self._commit
        self._callbacks.append(callback)

    def _commit(self) -> None:
        connection = self.connection
        is_ours = connection.get_transaction() is self._transaction
        del vars(connection)[_COMMITS]
        getattr(connection, _COMMITS)()
        if not is_ours:
            return  # the one that was joined has been rolled back, and this is a later one
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                logger.exception("What was to follow a commit failed; a worker's sweep does it.")

    @classmethod
    def on(cls, connection: Connection, table: str) -> JoinedTransaction:
        """Give the transaction that is open on a connection, the same one each time; it is begun if none is."""
        known = getattr(vars(connection).get(_COMMITS), "__self__", None)
        if isinstance(known, cls) and known._transaction is connection.get_transaction():
            return known
        vars(connection).pop(_COMMITS, None)
        return cls(connection, table)
