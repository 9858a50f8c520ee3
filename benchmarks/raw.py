"""The floor: autocommitted inserts of a row like a step's, by the bare driver and by SQLAlchemy Core."""

import datetime
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from benchmarks.figures import Figure, rates

# The columns of a journaled step.
TABLE = sa.Table(
    "bench_step",
    sa.MetaData(),
    sa.Column("run_id", sa.String(155), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("address", sa.String(320), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)

COLUMNS = tuple(column.name for column in TABLE.columns)


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    run_id = str(uuid.uuid4())
    for seq in range(count):
        now = datetime.datetime.now(datetime.timezone.utc)
        yield run_id, seq, "task", "increment", f"increment:{seq:040x}", "completed", 1, 1, now, now, str(seq)


@contextmanager
def engine_on(url: str) -> Iterator[sa.Engine]:
    """An engine with the durable settings that the journal uses, and an empty table."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda connection, _: make_durable(connection))
    TABLE.drop(engine, checkfirst=True)
    TABLE.create(engine)
    try:
        yield engine
    finally:
        TABLE.drop(engine)
        engine.dispose()


def make_durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


@contextmanager
def driver_loop(url: str) -> Iterator[Callable[[int], None]]:
    """The insert loop of the bare driver, on an open connection."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(make_url(url).database or "", isolation_level=None)
        make_durable(connection)
        mark, adapt = "?", lambda value: value.isoformat() if isinstance(value, datetime.datetime) else value
    else:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(plain, autocommit=True)
        mark, adapt = "%s", lambda value: value
    statement = f"INSERT INTO bench_step ({', '.join(COLUMNS)}) VALUES ({', '.join([mark] * len(COLUMNS))})"

    def insert(count: int) -> None:
        cursor = connection.cursor()
        for row in rows(count):
            cursor.execute(statement, tuple(map(adapt, row)))

    try:
        yield insert
    finally:
        connection.close()


@contextmanager
def core_loop(engine: sa.Engine) -> Iterator[Callable[[int], None]]:
    """The insert loop of SQLAlchemy Core with AUTOCOMMIT: statement built once, connection held."""
    statement = sa.insert(TABLE)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def insert(count: int) -> None:
            for row in rows(count):
                connection.execute(statement, dict(zip(COLUMNS, row, strict=True)))

        yield insert


def measure(url: str, place: str, count: int, rounds: int) -> Iterator[Figure]:
    """Insert ``count`` rows ``rounds`` times in each way, taking turns."""
    with engine_on(url) as engine, driver_loop(url) as driver, core_loop(engine) as core:
        values: dict[str, list[float]] = {"driver": [], "core": []}
        driver(count // 10)
        core(count // 10)
        for _ in range(rounds):
            values["driver"] += rates(lambda: driver(count), count, 1)
            values["core"] += rates(lambda: core(count), count, 1)
    yield Figure("raw.driver", place, "steps/s", tuple(values["driver"]), "bare driver, autocommit")
    yield Figure("raw.core", place, "steps/s", tuple(values["core"]), "SQLAlchemy Core, AUTOCOMMIT")
