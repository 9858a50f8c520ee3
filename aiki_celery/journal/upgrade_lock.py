"""One upgrade at a time: whoever comes while another one is made waits for it, and finds nothing left to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from aiki_celery.errors import JournalUnavailable
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.engines import READ_COMMITTED
from aiki_celery.journal.schema import Schema

logger = logging.getLogger("aiki_celery.journal")

#: Seconds for which an upgrade waits for another one.
PATIENCE = 600.0
#: Seconds between two tries to get the lock.
PAUSE = 0.2

# The name is of the tables: other journals of the server are upgraded meanwhile. PostgreSQL's lock is of one database
# and ends with the transaction, so that it holds through a pooler of connections too.
_POSTGRES_TAKE = text(
    "SELECT pg_try_advisory_xact_lock(hashtextextended("
    "concat('aiki_celery ', coalesce(CAST(:namespace AS text), current_schema()), '.', CAST(:tables AS text)), 0))"
)
# MariaDB's and MySQL's is of the whole server and of the connection, whatever is committed.
_MYSQL_NAME = "concat('aiki_celery ', sha1(concat(coalesce(:namespace, database(), ''), '.', :tables)))"
_MYSQL_TAKE = text(f"SELECT get_lock({_MYSQL_NAME}, 0)")
_MYSQL_GIVE_BACK = text(f"SELECT release_lock({_MYSQL_NAME})")


@contextmanager
def upgrading(connections: Connections, schema: Schema, patience: float) -> Iterator[Connection]:
    """Give a connection in a transaction in which nobody else upgrades these tables; it commits at the end.

    Args:
        connections: The journal's database.
        schema: The tables.
        patience: Seconds for which another upgrade is waited for; SQLite's connections have their own.

    Raises:
        JournalUnavailable: Another upgrade took longer.
    """
    connection = connections.take(connections.engine)
    names = {"namespace": schema.schema, "tables": schema.version_table}
    try:
        if connections.dialect != "sqlite":
            # What another upgrade has committed is to be seen, whatever level the application has chosen.
            connection.execution_options(isolation_level=READ_COMMITTED)
        _begin(connection, names, patience, f"{schema.prefix}runs and others) in {connections.shown_url}")
        try:
            yield connection
            connection.commit()
        finally:
            _end(connection, names)
    finally:
        connections.give_back(connection)


def _begin(connection: Connection, names: dict[str, str | None], patience: float, which: str) -> None:
    what = f"Another process is upgrading the journal's tables ({which}"
    deadline = time.monotonic() + patience
    is_told = False
    while True:
        connection.begin()
        if _has_lock(connection, names):
            return
        connection.rollback()
        if time.monotonic() >= deadline:
            raise JournalUnavailable(f"{what}. It was waited for {patience:g} s; nothing was changed here.")
        if not is_told:
            logger.warning("%s; waiting for it, for up to %g s.", what, patience)
            is_told = True
        time.sleep(PAUSE)


def _has_lock(connection: Connection, names: dict[str, str | None]) -> bool:
    if connection.dialect.name == "sqlite":
        return True  # to begin is to have it
    take = _POSTGRES_TAKE if connection.dialect.name == "postgresql" else _MYSQL_TAKE
    return bool(connection.execute(take, names).scalar())


def _end(connection: Connection, names: dict[str, str | None]) -> None:
    """Undo what was not committed, and give the lock back."""
    if connection.invalidated:
        return  # the lock has gone with it
    try:
        connection.rollback()
        if connection.dialect.name in ("mysql", "mariadb"):
            connection.execute(_MYSQL_GIVE_BACK, names)
            connection.rollback()
    except DBAPIError as error:
        logger.debug("An upgrade's connection was lost: %s", error)
        connection.invalidate()
