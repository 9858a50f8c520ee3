"""Joining the caller's transaction: from what the caller gives to a connection that the journal may write on."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Pool
from sqlalchemy.exc import UnboundExecutionError

from aiki_celery.errors import InputInvalid
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.transactions.joined import JoinedTransaction

#: MariaDB has two names in SQLAlchemy.
_BACKENDS = {"mariadb": "mysql"}


class Joins:
    """Makes sure that a transaction can be joined.

    Args:
        connections: The journal's database.
        schema: The tables.
        clock: Tells the instant in microseconds on SQLite, whose connections need the journal's clock.
    """

    def __init__(self, connections: Connections, schema: Schema, clock: Callable[[], int]) -> None:
        self._connections = connections
        self._clock = clock
        self._schema = schema.schema
        dialect = connections.engine.dialect
        self._table = dialect.identifier_preparer.format_table(schema.runs)
        #: Pools whose connections were seen to be to the journal's database.
        self._seen: weakref.WeakSet[Pool] = weakref.WeakSet([connections.engine.pool])

    def join(self, target: Any, owner: str) -> JoinedTransaction:
        """Give the transaction that is open on a session or connection; it is begun if none is.

        Args:
            target: An ORM session, a ``scoped_session``, or a connection; or a joined transaction.
            owner: Name of the workflow, for messages.

        Raises:
            InputInvalid: It is none of these, commits by itself, or is of another database than the journal's.
        """
        if isinstance(target, JoinedTransaction):
            return target
        connection = _connection_of(target, owner)
        if connection.get_execution_options().get("isolation_level", _default(connection)) == "AUTOCOMMIT":
            raise _refused(
                owner,
                "its connection is in AUTOCOMMIT mode: each statement commits by itself, so there is no transaction "
                "to join. Use one with an isolation level, or leave session= out.",
            )
        if connection.engine.pool not in self._seen:
            self._check_database(connection, owner)
            self._seen.add(connection.engine.pool)
        if connection.dialect.name == "sqlite" and "aiki_now" not in connection.info:
            driver: Any = connection.connection.dbapi_connection
            driver.create_function("aiki_now", 0, self._clock)
            connection.info["aiki_now"] = True
        return JoinedTransaction.on(connection, self._table)

    def _check_database(self, connection: Connection, owner: str) -> None:
        ours = self._connections.engine.dialect
        theirs = connection.dialect
        if _backend(theirs.name) != _backend(ours.name):
            raise self._elsewhere(connection, owner)
        if theirs.paramstyle != ours.paramstyle:
            raise _refused(
                owner,
                f"its driver, {theirs.driver}, takes other statements than the journal's, {ours.driver}. Use the "
                "journal's driver for this session.",
            )
        mine = self._connections.retrying(self._own_identity)
        found = self._identity(connection)
        if found[:-1] != mine[:-1]:
            raise self._elsewhere(connection, owner)
        if found != mine:
            raise _refused(
                owner,
                f"it is on the journal's database, but finds the table {self._table} elsewhere, or not at all. Set "
                "aiki_schema to the schema the journal is in.",
            )

    def _own_identity(self) -> tuple[Any, ...]:
        with self._connections.autocommit() as connection:
            return self._identity(connection)

    def _identity(self, connection: Connection) -> tuple[Any, ...]:
        """Ask which database this is. URLs do not tell: one server has many names. The last fact is of the table."""
        if connection.dialect.name == "sqlite":
            for _, name, path in connection.exec_driver_sql("PRAGMA database_list"):
                if name == "main":
                    return os.path.realpath(path) if path else object(), None
        table = self._table.replace("'", "''")
        asked = {
            "postgresql": "SELECT current_database(), pg_postmaster_start_time(), "
            f"CAST(to_regclass('{table}') AS oid)",
            "mysql": "SELECT @@hostname, @@port, @@datadir, " + ("1" if self._schema else "DATABASE()"),
        }
        return tuple(connection.exec_driver_sql(asked[_backend(connection.dialect.name)]).one())

    def _elsewhere(self, connection: Connection, owner: str) -> InputInvalid:
        url = connection.engine.url.render_as_string(hide_password=True)
        return _refused(
            owner,
            f"it is on {url}, and the journal is on {self._connections.shown_url}. A run can only join a transaction "
            "on the journal's own database; leave session= out, and start the run after the commit.",
        )


def _connection_of(target: Any, owner: str) -> Connection:
    if isinstance(target, Connection):
        return target
    # Here, because it takes five megabytes which a worker does not need.
    from sqlalchemy.orm import Session, scoped_session  # noqa: PLC0415

    if isinstance(target, scoped_session):
        target = target()
    if isinstance(target, Session):
        try:
            return target.connection()
        except UnboundExecutionError as error:
            raise _refused(
                owner,
                "the session has no engine of its own; give session.connection(...) for the journal's database.",
            ) from error
    if hasattr(target, "run_sync"):
        raise _refused(
            owner,
            f"an {type(target).__name__} cannot be joined from outside. Enqueue within its run_sync: "
            "await session.run_sync(lambda session: my_workflow.options(session=session).enqueue(...))",
        )
    raise _refused(owner, f"must be an SQLAlchemy Session or Connection, not {type(target).__name__}")


def _refused(owner: str, why: str) -> InputInvalid:
    return InputInvalid(owner, "session", why)


def _backend(name: str) -> str:
    return _BACKENDS.get(name, name)


def _default(connection: Connection) -> Any:
    """Give the isolation level that an engine sets on each of its connections, if it does."""
    return getattr(connection.dialect, "_on_connect_isolation_level", None)
