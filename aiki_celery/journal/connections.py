"""Connections to the journal's database: made for each dialect, tried again when they are lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import CompoundSelect, Connection, Engine, Row, Select, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from aiki_celery.errors import JournalUnavailable, SettingInvalid
from aiki_celery.journal.dialect import is_transient
from aiki_celery.journal.fork_safety import ForkGate

T = TypeVar("T")

logger = logging.getLogger("aiki_celery.journal")

#: Seconds for which a lost connection, a deadlock or a held lock is tried again before the journal counts as gone.
RETRY_FOR = 60.0

#: Seconds that SQLite waits for another writer.
SQLITE_BUSY = 30.0


class Connections:
    """Hands out connections to one database.

    Args:
        url: SQLAlchemy URL.
        clock: Tells the instant in microseconds on SQLite, which has no clock of its own; tests give a fake one.
        engine: An engine to use instead of one made from the URL.

    Raises:
        SettingInvalid: The URL cannot be used, or its driver is not installed.
    """

    def __init__(
        self, url: str, clock: Callable[[], int] | None = None, engine: Engine | None = None
    ) -> None:
        self.url = _checked(url) if engine is None else engine.url
        if engine is not None and engine.dialect.name == "sqlite":
            raise SettingInvalid(
                "aiki_journal is an engine of SQLite: the journal prepares SQLite's connections itself. Give the URL."
            )
        self.engine = engine or _make_engine(self.url, clock or _system_now)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.engines = [self.engine]
        self._relaxed: Engine | None = None
        if self.dialect == "sqlite":
            self.engines.append(_make_engine(self.url, clock or _system_now, sync="NORMAL"))
            self._relaxed = self.engines[1].execution_options(isolation_level="AUTOCOMMIT")
        self._gate = ForkGate(self.engines)

    @property
    def dialect(self) -> str:
        """Name of the database: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``."""
        return self.engine.dialect.name

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Give a connection on which every statement is its own transaction."""
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def take(self) -> Connection:
        """Give such a connection to somebody who gives it back himself, from the same thread."""
        self._gate.enter()
        try:
            return self._autocommit.connect()
        except BaseException:
            self._gate.leave()
            raise

    def give_back(self, connection: Connection) -> None:
        """Take a connection back."""
        try:
            connection.close()
        except DBAPIError as error:
            # It was lost; the pool makes another.
            logger.debug("Closing a connection failed: %s", error)
        finally:
            self._gate.leave()

    def read(self, query: Select[Any] | CompoundSelect[Any]) -> Sequence[Row[Any]]:
        """Give a query's rows, asking again when the connection is lost."""

        def work() -> Sequence[Row[Any]]:
            with self.autocommit() as connection:
                return connection.execute(query).all()

        return self.retrying(work)

    @contextmanager
    def relaxed(self) -> Iterator[Connection]:
        """Give an autocommit connection for what may be undone by a failure of the machine: claims and heartbeats.

        On SQLite its commits are not synced to the disk one by one; elsewhere the statement itself says so, or cannot.
        """
        if self._relaxed is None:
            with self.autocommit() as connection:
                yield connection
            return
        self._gate.enter()
        try:
            with self._relaxed.connect() as connection:
                yield connection
        finally:
            self._gate.leave()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in a transaction that commits at the end, or rolls back on an error."""
        self._gate.enter()
        try:
            with self.engine.begin() as connection:
                yield connection
        finally:
            self._gate.leave()

    def retrying(self, work: Callable[[], T], *, patience: float = RETRY_FOR) -> T:
        """Do work on the database, and again when a second try may mend its error.

        The work must be safe to do twice: the first try may have been committed and only its answer lost.

        Args:
            work: Opens its own connection.
            patience: Seconds after which no further try is begun.

        Raises:
            JournalUnavailable: It did not succeed in time.
        """
        try:
            return work()
        except (DBAPIError, TimeoutError) as error:
            if not is_transient(error):
                raise
        attempts = Retrying(
            stop=stop_after_delay(patience),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return attempts(work)
        except (DBAPIError, TimeoutError) as error:
            if not is_transient(error):
                raise
            raise JournalUnavailable(
                f"The journal at {self.shown_url} could not be reached for {patience:g} s: {_first_line(error)}"
            ) from error

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close every pooled connection."""
        self._gate.dispose()


def _system_now() -> int:
    return time.time_ns() // 1000


def _checked(url: str) -> URL:
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


def _make_engine(url: URL, clock: Callable[[], int], sync: str = "FULL") -> Engine:
    backend = url.get_backend_name()
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 64, "pool_timeout": 30}
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
        # In UTC: in a zone with daylight saving, the hour that comes twice would take the clock back.
        utc = "SET time_zone = '+00:00'"
        options["connect_args"] = {"connect_timeout": 10, "charset": "utf8mb4", "init_command": utc}
        options["pool_recycle"] = 3600
        # Avoids the gap locks of REPEATABLE READ, over which concurrent sweeps would fall. Set here and not by a
        # statement on connecting, which SQLAlchemy would undo when the connection goes back to the pool.
        options["isolation_level"] = "READ COMMITTED"
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


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", error)).strip().split("\n")[0]
