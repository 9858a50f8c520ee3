"""URLs name files, and a file that cannot be used is refused with its path and the remedy."""

import os
from pathlib import Path

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from aiki_celery.celery_binding.transport import BrokerFileUnusable, register
from tests.harness.eventually import eventually
from tests.unit.transport.conftest import Connect
from tests.unit.transport.inbox import Inbox
from tests.unit.transport.test_messages import send


def failure(url: str) -> str:
    """What connecting to a URL says."""
    register()
    with pytest.raises(BrokerFileUnusable) as caught, Connection(url) as connection:
        connection.connect()
    assert isinstance(caught.value, OperationalError)
    return str(caught.value)


def test_relative_url_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes: relative; four: absolute."""
    register()
    monkeypatch.chdir(tmp_path)
    for url in ("aiki+sqlite:///shop.sqlite3", f"aiki+sqlite:///{tmp_path}/shop.sqlite3"):
        with Connection(url) as connection:
            assert str(tmp_path / "shop.sqlite3") == connection.transport.database.path
            assert url == connection.as_uri()


def test_list_of_urls_is_understood(tmp_path: Path) -> None:
    """kombu cuts alternate URLs differently when it switches between them."""
    register()
    with Connection([f"aiki+sqlite:///{tmp_path}/a.db", f"aiki+sqlite:///{tmp_path}/b.db"]) as connection:
        connection.connect()
        connection.maybe_switch_next()
        connection.connect()
        assert str(tmp_path / "b.db") == connection.transport.database.path


def test_missing_directory_is_named_with_the_remedy(tmp_path: Path) -> None:
    """The error says which directory to make."""
    text = failure(f"aiki+sqlite:///{tmp_path}/nowhere/a.db")
    assert f"mkdir -p {tmp_path}/nowhere" in text


def test_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """The error names the file, and its content stays."""
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not a database, and they are long enough to be looked at" * 20)
    assert "not a SQLite database" in failure(f"aiki+sqlite:///{path}")
    assert path.read_text().startswith("these are notes")


def test_directory_and_memory_are_refused(tmp_path: Path) -> None:
    """Both errors say what to write instead."""
    assert "is a directory" in failure(f"aiki+sqlite:///{tmp_path}")
    assert "aiki+sqlite:///shop.sqlite3" in failure("aiki+sqlite:///:memory:")
    assert "aiki+sqlite:///shop.sqlite3" in failure("aiki+sqlite://")


def test_unwritable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what may not be written (root may write everything, hence the stand-in)."""
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    assert f"may not write {str(tmp_path)!r}" in failure(f"aiki+sqlite:///{tmp_path}/a.db")


def test_replaced_file_is_noticed(connect: Connect, broker_path: Path) -> None:
    """A consumer goes on with the new file after the old one was deleted."""
    connection = connect()
    with Inbox(connection, "q") as inbox:
        before = connection.transport.database.version()
        for path in broker_path.parent.glob(broker_path.name + "*"):
            path.unlink()
        eventually(
            lambda: connection.transport.database.version()[0] > before[0], 5, "the new file to be opened"
        )
        send(connection, "a")
        assert ["a"] == inbox.drain(1)
