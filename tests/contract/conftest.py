"""One journal per database; its tables are emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
from tests.contract.rows import wipe

#: Crashes in a row that stall a run, in every journal here.
MAX_RECOVERIES = 3

DATABASES = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(scope="module", params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database, once per test file."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('journal') / 'journal.sqlite3'}"
        return
    server = request.getfixturevalue(request.param)
    url = server.new_database()
    yield url
    server.ensure_running()
    server.drop_database(url)


@pytest.fixture(scope="module")
def shared_journal(database_url: str) -> Iterator[Journal]:
    """The journal in it, with its tables."""
    journal = Journal(AikiSettings(journal=database_url, max_recoveries=MAX_RECOVERIES))
    journal.upgrade()
    yield journal
    journal.close()


@pytest.fixture
def journal(shared_journal: Journal) -> Journal:
    """The journal, with nothing in it."""
    wipe(shared_journal)
    return shared_journal
