"""Connections to the journal's database: made for each dialect, tried again when they are lost."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import CompoundSelect, Connection, Engine, Row, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from aiki_celery.errors import JournalUnavailable
from aiki_celery.journal.dialect import is_transient
from aiki_celery.journal.engines import checked_url, engines_over, make_engine, system_now
from aiki_celery.journal.fork_safety import ForkGate

T = TypeVar("T")

logger = logging.getLogger("aiki_celery.journal")

#: Seconds for which a lost connection, a deadlock or a held lock is tried again before the journal counts as gone.
RETRY_FOR = 60.0

#: Seconds before the second try, at least and at most.
FIRST_PAUSE = (0.01, 0.05)


class Connections:
    """Hands out connections to one database.

    Args:
        url: SQLAlchemy URL.
        clock: Tells the instant in microseconds on SQLite, which has no clock of its own; tests give a fake one.
        engine: An engine to use instead of one made from the URL.

    Attributes:
        engine: What transactions run on.
        engines: Those with pools, one of which may be the application's.

    Raises:
        SettingInvalid: The URL or the engine cannot be used, or its driver is not installed.
    """

    def __init__(
        self, url: str, clock: Callable[[], int] | None = None, engine: Engine | None = None
    ) -> None:
        self.url = checked_url(url) if engine is None else engine.url
        pooled = engine or make_engine(self.url, clock or system_now)
        self.engines: list[Engine] = [pooled]
        self.engine: Engine = pooled
        if engine is None:
            self._autocommit: Engine = pooled.execution_options(isolation_level="AUTOCOMMIT")
        else:
            self.engine, self._autocommit = engines_over(engine)
        self._relaxed: Engine | None = None
        if self.dialect == "sqlite":
            self.engines.append(make_engine(self.url, clock or system_now, sync="NORMAL"))
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

    def take(self, engine: Engine | None = None) -> Connection:
        """Give such a connection, or one of an engine over ours, to somebody who gives it back from the same thread."""
        self._gate.enter()
        try:
            return _connected(engine or self._autocommit)
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
        connection = self.take(self._relaxed)
        try:
            yield connection
        finally:
            self.give_back(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in a transaction that commits at the end, or rolls back on an error."""
        connection = self.take(self.engine)
        try:
            with connection.begin():
                yield connection
        finally:
            self.give_back(connection)

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
        except (DBAPIError, PoolTimeout) as error:
            if not is_transient(error):
                raise
        # Begun again at once, the victim of a deadlock may take the row before the one who waits for it wakes up.
        time.sleep(random.uniform(*FIRST_PAUSE))
        attempts = Retrying(
            stop=stop_after_delay(patience),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return attempts(work)
        except (DBAPIError, PoolTimeout) as error:
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


def _connected(engine: Engine) -> Connection:
    """Connect.

    Raises:
        DBAPIError: The database could not be reached, or a pooled connection to it is lost.
    """
    driver = engine.dialect.loaded_dbapi.Error
    try:
        return engine.connect()
    except driver as error:
        # By setting the level, which is told to the server by the driver alone: SQLAlchemy lets its errors through.
        is_lost = engine.dialect.is_disconnect(error, None, None)
        raise DBAPIError.instance(
            None, None, error, driver, connection_invalidated=is_lost, dialect=engine.dialect
        ) from error


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", error)).strip().split("\n")[0]
