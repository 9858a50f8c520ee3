"""Engines: one for each database, prepared for what the journal asks of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from aiki_celery.errors import SettingInvalid
from aiki_celery.journal.dialect import reads_the_past

#: Seconds that SQLite waits for another writer.
SQLITE_BUSY = 30.0

#: What the journal's work is written for.
READ_COMMITTED = "READ COMMITTED"


def system_now() -> int:
    """Give this machine's instant in microseconds."""
    return time.time_ns() // 1000


def checked_url(url: str) -> URL:
    """Give a URL that the journal can run on, its driver named.

    Raises:
        SettingInvalid: It is not one; says what is wrong with it.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingInvalid(
            f"aiki_journal is {url!r}: not a database URL such as postgresql+psycopg://host/name"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql", "mysql", "mariadb"):
        raise SettingInvalid(
            f"aiki_journal is {parsed.render_as_string()!r}: the journal runs on PostgreSQL, MariaDB/MySQL and SQLite"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("mysql", "mariadb"):
        parsed = parsed.set(drivername=f"{parsed.drivername}+pymysql")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingInvalid(
            f"aiki_journal is {url!r}: a database in memory is gone with its process. Name a file: sqlite:///aiki.sqlite3"
        )
    return parsed


def make_engine(url: URL, clock: Callable[[], int], sync: str = "FULL") -> Engine:
    """Make an engine, which connects when it is first used.

    Args:
        url: Where the database is.
        clock: Tells the instant in microseconds on SQLite.
        sync: SQLite's ``synchronous``: ``FULL`` syncs each commit to the disk, ``NORMAL`` does not.

    Raises:
        SettingInvalid: The driver is not installed, or there is no such folder.
    """
    backend = url.get_backend_name()
    # A pass keeps its connection, so a process has as many as it has passes. With a limit, one with more threads or
    # greenlets than that would not get its heartbeat through, and be taken for dead.
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": -1}
    if backend == "sqlite":
        _check_folder(url)
        options["connect_args"] = {
            "timeout": SQLITE_BUSY,
            "check_same_thread": False,
            "cached_statements": 256,
        }
    elif backend == "postgresql":
        options["connect_args"] = {"connect_timeout": 10, "application_name": "aiki_celery"} | dict(url.query)
    else:
        # In UTC: SYSDATE, by which the clock goes, jumps where clocks are put forward.
        utc = "SET time_zone = '+00:00'"
        options["connect_args"] = {"connect_timeout": 10, "charset": "utf8mb4", "init_command": utc}
        options["pool_recycle"] = 3600
        # Avoids the gap locks of REPEATABLE READ, over which concurrent sweeps would fall. Set here and not by a
        # statement on connecting, which SQLAlchemy would undo when the connection goes back to the pool.
        options["isolation_level"] = READ_COMMITTED
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        extra = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}.get(backend)
        remedy = f'pip install "aiki-celery[{extra}]"' if extra else "install its driver"
        raise SettingInvalid(
            f"aiki_journal is {url.render_as_string()!r}: {error}. Remedy: {remedy}"
        ) from error
    if backend == "sqlite":
        _prepare_sqlite(engine, clock, sync)
    return engine


def given_engine(journal: Any) -> Engine | None:
    """Give the engine that the application has given; None where it has given a URL, or nothing.

    Raises:
        SettingInvalid: It is neither.
    """
    if journal is None or isinstance(journal, str):
        return None
    if not isinstance(journal, Engine):
        raise SettingInvalid(
            f"journal={journal!r:.80}: give the database's URL as text, as in 'postgresql+psycopg://localhost/shop', "
            "or an SQLAlchemy engine."
        )
    return journal


def engines_over(engine: Engine) -> tuple[Engine, Engine]:
    """Give the engines on which the journal works over one that is the application's, which is not changed by it.

    They share its pool. On MariaDB and MySQL they set READ COMMITTED on each connection they take, and it is set back
    when the connection is given back; an engine that was made with that level saves these exchanges with the server.

    Args:
        engine: Of a server database.

    Returns:
        The engine for transactions, and the one on which each statement is a transaction.

    Raises:
        SettingInvalid: It cannot be used.
    """
    if engine.dialect.name == "sqlite":
        raise SettingInvalid(
            "aiki_journal is an engine of SQLite: the journal prepares SQLite's connections itself. Give the URL."
        )
    if "isolation_level" in engine.get_execution_options():
        # It would be set last, over what the journal sets: not even AUTOCOMMIT would be left.
        raise SettingInvalid(
            "aiki_journal is an engine with execution_options(isolation_level=...), which would undo the levels that "
            "the journal sets. Give the engine it was made from, or create_engine(url, isolation_level=...)."
        )
    default = getattr(engine.dialect, "_on_connect_isolation_level", None)
    if default == "AUTOCOMMIT":
        raise SettingInvalid(
            "aiki_journal is an engine in AUTOCOMMIT mode: the journal needs transactions of several statements. Give "
            "an engine with another isolation level, or the URL."
        )
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    if not reads_the_past(engine.dialect.name) or default == READ_COMMITTED:
        return engine, autocommit
    # After AUTOCOMMIT has been set: it leaves the session's level as it is, yet sets both back at the end.
    event.listen(autocommit, "engine_connect", _read_committed)
    # Not one over the other: of two engines' levels, the lower one's is set last.
    return engine.execution_options(isolation_level=READ_COMMITTED), autocommit


def _read_committed(connection: Connection) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {READ_COMMITTED}")
    cursor.close()


def _check_folder(url: URL) -> None:
    folder = Path(str(url.database)).parent
    if not str(url.database).startswith("file:") and not folder.is_dir():
        raise SettingInvalid(
            f"aiki_journal is {url.render_as_string()!r}: there is no folder {str(folder.absolute())!r}"
        )


def _prepare_sqlite(engine: Engine, clock: Callable[[], int], sync: str) -> None:
    """Make SQLite durable (WAL, each commit synced), shareable by processes, and give it a clock."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {sync}")
        cursor.close()
        connection.create_function("aiki_now", 0, clock)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not get the write lock any more.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
