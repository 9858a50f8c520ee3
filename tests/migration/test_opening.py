"""What a process finds when it opens a journal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect

from aiki_celery.errors import SchemaMissing, SchemaOutdated
from aiki_celery.journal import migrate
from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings

ROOT = Path(__file__).parents[2]
PROCESSES = 6

OPEN = """
import sys
from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
journal = Journal(AikiSettings(journal=sys.argv[1]))
sys.stdin.readline()
journal.ensure_ready()
print(journal.revision())
"""


def journal_at(url: str) -> Journal:
    """A journal."""
    return Journal(AikiSettings(journal=url))


def set_revision(journal: Journal, revision: str) -> None:
    """Makes the tables claim another revision."""
    with journal.connections.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {journal.schema.version_table} SET version_num = '{revision}'")


def test_missing_schema_on_a_server_names_the_command(server_url: str) -> None:
    """Nothing is created by the way; the error says what to type, and keeps the password to itself."""
    journal = journal_at(server_url)
    with pytest.raises(SchemaMissing, match=r"aiki_runs.* are not in .*celery -A <your app> aiki db upgrade"):
        journal.ensure_ready()
    assert [] == inspect(journal.connections.engine).get_table_names()
    journal.close()


def test_older_schema_on_a_server_names_the_command(server_url: str) -> None:
    """The error says both revisions and what to type."""
    journal = journal_at(server_url)
    journal.upgrade()
    set_revision(journal, "0000")
    with pytest.raises(SchemaOutdated, match=f"revision 0000; .* needs {migrate.HEAD}.*aiki db upgrade"):
        journal.ensure_ready()
    journal.close()


def test_newer_schema_says_to_upgrade_the_package(database_url: str) -> None:
    """An old package on a new schema stops, on every database, and says which side is behind."""
    journal = journal_at(database_url)
    journal.upgrade()
    set_revision(journal, "9999")
    with pytest.raises(
        SchemaOutdated, match=f"revision 9999, made by a newer.*{migrate.HEAD}.*Upgrade the package"
    ):
        journal.ensure_ready()
    journal.close()


def test_upgraded_schema_opens(database_url: str) -> None:
    """After the command, a process that failed before goes on."""
    journal = journal_at(database_url)
    assert (None, migrate.HEAD) == (journal.revision(), journal.upgrade())
    journal.ensure_ready()
    journal.close()


def test_sqlite_file_makes_itself(sqlite_url: str) -> None:
    """The embedded default needs no command."""
    journal = journal_at(sqlite_url)
    journal.ensure_ready()
    assert migrate.HEAD == journal.revision()
    journal.close()


def test_sqlite_file_opened_by_many_processes_at_once_is_made_once(sqlite_url: str) -> None:
    """Web processes and workers that start together on a new file all find their tables."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, sqlite_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in processes]
    assert [(f"{migrate.HEAD}\n", 0)] * PROCESSES == [
        (out, process.returncode) for (out, _), process in zip(results, processes, strict=True)
    ], "\n".join(error for _, error in results)
