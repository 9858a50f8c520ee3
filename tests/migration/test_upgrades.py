"""Upgrades that come at once, or break off half-way."""

from __future__ import annotations

import functools
import itertools
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from aiki_celery.errors import JournalUnavailable
from aiki_celery.journal import migrate
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
from tests.harness.eventually import eventually
from tests.migration.test_migrations import difference, opened, tables

ROOT = Path(__file__).parents[2]
PROCESSES = 3

UPGRADE = """
import sys
from aiki_celery.journal import migrate
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
connections = Connections(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(migrate.upgrade(connections, Schema()))
"""


#: Stops after a few changes until it is told to go on.
HELD_UP = """
import itertools, sys
from sqlalchemy import event
from aiki_celery.journal import migrate
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
connections = Connections(sys.argv[1])
changes = itertools.count(1)
@event.listens_for(connections.engine, "after_cursor_execute")
def on_execute(connection, cursor, statement, *_):
    if statement.lstrip().startswith("CREATE") and next(changes) == 3:
        print("begun", flush=True)
        sys.stdin.readline()
print(migrate.upgrade(connections, Schema()))
"""


class Interrupted(BaseException):
    """What ends an upgrade, as Ctrl-C does."""


@contextmanager
def after_changes(connections: Connections, number: int, then: Any) -> Iterator[None]:
    """Does something after the upgrade's so many-th change of a table."""
    changes = itertools.count(1)

    def on_execute(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")) and next(changes) == number:
            then()

    event.listen(connections.engine, "after_cursor_execute", on_execute)
    try:
        yield
    finally:
        event.remove(connections.engine, "after_cursor_execute", on_execute)


def interrupt() -> None:
    """Ends the upgrade."""
    raise Interrupted


@contextmanager
def held_up(url: str) -> Iterator[Callable[[], None]]:
    """An upgrade that is under way in another process until it is let go on; it has succeeded at the end."""
    process = begin(HELD_UP, url)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert "begun\n" == process.stdout.readline()
        yield functools.partial(go_on, process)
    finally:
        out, errors = process.communicate("go\n", timeout=60)
        assert (f"{migrate.HEAD}\n", 0) == (out, process.returncode), errors


def begin(script: str, url: str) -> subprocess.Popen[str]:
    """A process of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", script, url], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def go_on(process: subprocess.Popen[str]) -> None:
    """Lets it go on."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_upgrades_by_many_processes_at_once_all_succeed(server_url: str) -> None:
    """Every container of a deploy may give the command."""
    with opened(server_url) as connections:
        migrate.upgrade(connections, Schema(), "0002")
        processes = [begin(UPGRADE, server_url) for _ in range(PROCESSES)]
        for process in processes:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in processes:
            go_on(process)
        results = [process.communicate(timeout=60) for process in processes]
        assert [(f"{migrate.HEAD}\n", 0)] * PROCESSES == [
            (out, process.returncode) for (out, _), process in zip(results, processes, strict=True)
        ], "\n".join(error for _, error in results)
        assert [] == difference(connections, Schema())


@pytest.mark.parametrize("level", [None, "REPEATABLE READ", "SERIALIZABLE"])
def test_upgrade_waits_for_another_and_says_so(
    server_url: str, level: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It finds nothing left to do afterwards, whatever the level of the application's own engine."""
    with ExitStack() as stack:
        if level is None:
            connections = stack.enter_context(opened(server_url))
        else:
            connections = Connections("", engine=create_engine(server_url, isolation_level=level))
            stack.callback(connections.close)
        thread = stack.enter_context(ThreadPoolExecutor(1))
        let_go_on = stack.enter_context(held_up(server_url))
        with caplog.at_level(logging.WARNING, "aiki_celery.journal"):
            second = thread.submit(migrate.upgrade, connections, Schema())
            waits = "Another process is upgrading the journal's tables (aiki_runs and others)"
            eventually(lambda: waits in caplog.text, 30)
        assert 1 == [record.name for record in caplog.records].count("aiki_celery.journal")
        let_go_on()
        assert migrate.HEAD == second.result(60)
        assert [] == difference(connections, Schema())


def test_upgrade_that_waited_too_long_says_for_what(server_url: str) -> None:
    """After the deadline it is an error, and nothing was changed by it; the other one ends well."""
    with held_up(server_url), opened(server_url) as connections:
        with pytest.raises(JournalUnavailable, match=r"Another process is upgrading .*aiki_runs .* 0\.1 s"):
            migrate.upgrade(connections, Schema(), patience=0.1)
        assert migrate.HEAD != migrate.current(connections, Schema())


def test_upgrade_of_other_tables_does_not_wait(server_url: str) -> None:
    """Journals side by side in one database are upgraded each by itself."""
    with held_up(server_url), opened(server_url) as connections:
        assert migrate.HEAD == migrate.upgrade(connections, Schema("other_"), patience=0)


@pytest.mark.mariadb
def test_upgrade_of_another_database_does_not_wait(mariadb_url: str, mariadb: Any) -> None:
    """MariaDB's locks are of the whole server: their names tell the databases apart."""
    url = mariadb.new_database()
    with held_up(mariadb_url), opened(url) as connections:
        assert migrate.HEAD == migrate.upgrade(connections, Schema(), patience=0)
    mariadb.drop_database(url)


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_interrupted_upgrade_is_begun_again(database_url: str, revision: str) -> None:
    """On the same connections: what it has locked is let go."""
    schema = Schema()
    with opened(database_url) as connections, opened(database_url) as others:
        if revision != "0001":
            migrate.upgrade(connections, schema, f"{int(revision) - 1:04d}")
        with after_changes(connections, 3, interrupt), pytest.raises(Interrupted):
            migrate.upgrade(connections, schema)
        assert migrate.HEAD == migrate.upgrade(others, schema, patience=0)
        assert migrate.HEAD == migrate.upgrade(connections, schema, patience=0)
        assert [] == difference(connections, schema)


@pytest.mark.mariadb
def test_upgrade_interrupted_after_each_change_gets_there(mariadb_url: str) -> None:
    """Where each change commits by itself, an upgrade that makes one and breaks off, again and again, ends well."""
    schema = Schema()
    with opened(mariadb_url) as connections:
        tries, found = 0, None
        while found is None:
            tries += 1
            with suppress(Interrupted), after_changes(connections, 1, interrupt):
                found = migrate.upgrade(connections, schema)
        assert (migrate.HEAD, True) == (found, tries > 40)
        assert [] == difference(connections, schema)


def test_table_of_another_program_is_not_taken_for_ours(database_url: str) -> None:
    """What is there under our name, and is not what an upgrade has left, is an error of the database."""
    with opened(database_url) as connections:
        with connections.transaction() as connection:
            connection.execute(text("CREATE TABLE aiki_steps (id INTEGER PRIMARY KEY)"))
        with pytest.raises(Exception, match="already exists"):
            migrate.upgrade(connections, Schema())
        assert "aiki_history" not in tables(connections)
