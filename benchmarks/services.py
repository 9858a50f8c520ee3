"""The servers the benchmark stands on: those it is told of, else durable child processes of its own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.harness.postgres import PostgresServer
from tests.harness.redis_server import RedisServer

POSTGRES = os.environ.get("BENCH_POSTGRES")
REDIS = os.environ.get("BENCH_REDIS")


@contextmanager
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server, with the right to create databases."""
    if POSTGRES:
        yield make_url(POSTGRES).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    server = PostgresServer("shared_buffers=128MB")
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@contextmanager
def redis() -> Iterator[str]:
    """URL of an empty Redis database; its own server keeps nothing on disk, as the journal is the truth."""
    if REDIS:
        yield REDIS
        return
    server = RedisServer("--appendonly", "no")
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """URL of a new database on the server, dropped afterwards."""
    name = f"{name}_{os.getpid()}"
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def sqlite_file(name: str) -> Iterator[str]:
    """URL of a SQLite file that does not exist yet, below ``build/``: ``/tmp`` may be in memory."""
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as folder:
        yield f"sqlite:///{folder}/{name}.sqlite3"
