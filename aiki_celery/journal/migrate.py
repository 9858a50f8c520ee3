"""The schema's version: looked at when the journal is opened, changed by ``celery aiki db upgrade``.

SQLite files make and upgrade themselves. On a server database a missing or outdated schema is an error that names the
command; nothing is ever created there by the way.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.exc import DBAPIError

from aiki_celery.errors import SchemaMissing, SchemaOutdated
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.upgrade_lock import PATIENCE, upgrading

#: Revision this package's tables are at: the head of ``migrations/``.
HEAD = "0003"

_SCRIPTS = Path(__file__).parent / "migrations"

#: Alembic has one upgrade under way in a process.
_alembic = threading.Lock()


def upgrade(
    connections: Connections, schema: Schema, revision: str = "head", *, patience: float = PATIENCE
) -> str:
    """Bring the journal's tables to a revision, and give its name.

    It is done in one transaction where the database can; where it cannot, an upgrade that broke off is gone on with by
    the next one. Of processes that upgrade at once, one does it.

    Args:
        connections: The journal's database.
        schema: The tables.
        revision: The revision, or ``head``.
        patience: Seconds for which an upgrade of another process is waited for.

    Raises:
        JournalUnavailable: Another upgrade took longer.
    """
    # Here, because it takes twelve megabytes which a worker does not need.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    with upgrading(connections, schema, patience) as connection, _alembic:
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=schema)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        command.upgrade(config, revision)
    found = current(connections, schema)
    assert found is not None
    return found


def current(connections: Connections, schema: Schema) -> str | None:
    """Give the revision the tables are at, or None when they are not there."""
    version = Table(schema.version_table, MetaData(), Column("version_num", String(32)), schema=schema.schema)
    with connections.autocommit() as connection:
        try:
            return connection.execute(select(version.c.version_num)).scalar()
        except DBAPIError:
            # Asking first would cost a query at every start; only a table that is not there may be taken for one.
            if inspect(connection).has_table(schema.version_table, schema=schema.schema):
                raise
            return None


def ensure(connections: Connections, schema: Schema) -> None:
    """Make sure that the tables are those of this package; make them on SQLite.

    Raises:
        SchemaMissing: They are not in the server's database.
        SchemaOutdated: They are older, or newer, than this package.
    """
    found = current(connections, schema)
    if found == HEAD:
        return
    remedy = "celery -A <your app> aiki db upgrade"
    if connections.dialect == "sqlite" and (found is None or found < HEAD):
        upgrade(connections, schema)
    elif found is None:
        raise SchemaMissing(
            f"The journal's tables ({schema.prefix}runs and others) are not in {connections.shown_url}. "
            f"Make them with: {remedy}"
        )
    elif found < HEAD:
        raise SchemaOutdated(
            f"The journal's tables in {connections.shown_url} are at revision {found}; this aiki_celery needs {HEAD}. "
            f"Upgrade them with: {remedy}"
        )
    else:
        raise SchemaOutdated(
            f"The journal's tables in {connections.shown_url} are at revision {found}, made by a newer aiki_celery; "
            f"this one knows revisions up to {HEAD}. Upgrade the package."
        )
