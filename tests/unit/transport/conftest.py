"""Connections to a broker file of the test's own."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from aiki_celery.celery_binding.transport import register

Connect = Callable[..., Connection]


@pytest.fixture
def broker_path(tmp_path: Path) -> Path:
    """The file, made by the first connection."""
    return tmp_path / "broker.sqlite3"


@pytest.fixture
def connect(broker_path: Path) -> Iterator[Connect]:
    """Opens connections with the given transport options; closes them after the test."""
    register()
    opened: list[Connection] = []

    def open_connection(**options: Any) -> Connection:
        connection = Connection(f"aiki+sqlite:///{broker_path}", transport_options=options)
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.release()


@pytest.fixture
def rows(broker_path: Path) -> Iterator[Callable[..., list[Any]]]:
    """Runs a statement on the file from outside the transport."""
    connections: list[sqlite3.Connection] = []

    def run(statement: str, *values: Any) -> list[Any]:
        if not connections:
            connections.append(sqlite3.connect(broker_path, isolation_level=None, timeout=10))
        return connections[0].execute(statement, values).fetchall()

    yield run
    for connection in connections:
        connection.close()
