"""A journal on the application's own engine: it works at the level it is made for, and the engine stays as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from aiki_celery.errors import JournalUnavailable, SettingInvalid
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.transactions.step_transaction import StepTransaction
from aiki_celery.journal.transactions.step_writers import Made
from aiki_celery.settings import AikiSettings
from tests.contract.rows import run_row
from tests.contract.stories import claimed, in_pass, queued, step

SERVERS = [
    pytest.param("postgres_url", marks=pytest.mark.postgres),
    pytest.param("mariadb_url", marks=pytest.mark.mariadb),
]
LEVELS = [None, "READ COMMITTED", "REPEATABLE READ"]


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty database on a server."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def engine(server_url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The application's, with one connection, which it shares with the journal."""
    level = getattr(request, "param", None)
    options: dict[str, Any] = {} if level is None else {"isolation_level": level}
    engine = create_engine(server_url, pool_size=1, max_overflow=0, pool_timeout=5, **options)
    Journal(AikiSettings(journal=server_url)).upgrade()
    yield engine
    engine.dispose()


def on(engine: Engine) -> Journal:
    """The journal on an engine."""
    return Journal(AikiSettings(), engine=engine)


def level(connection: Any) -> tuple[Any, ...]:
    """The session, its level, and whether it commits each statement."""
    asked = "SELECT connection_id(), @@tx_isolation, @@autocommit"
    return tuple(connection.exec_driver_sql(asked).one())


def lose_connections(url: str) -> None:
    """Ends every connection to a database but one's own, on the server's side."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            asked = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
            connection.exec_driver_sql(asked + "AND pid <> pg_backend_pid()")
        else:
            asked = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
            for (session,) in connection.exec_driver_sql(asked).all():
                connection.exec_driver_sql(f"KILL {session}")
    engine.dispose()


@pytest.mark.mariadb
@pytest.mark.parametrize("server_url", [SERVERS[1]], indirect=True)
@pytest.mark.parametrize("engine", LEVELS, indirect=True)
def test_every_kind_of_work_on_mariadb_is_read_committed(engine: Engine) -> None:
    """Statements, transactions and transactional steps, on one connection in turn, which the application gets back."""
    with engine.connect() as connection:
        before = level(connection)
    journal = on(engine)
    connections, seen = journal.connections, []

    def body(transaction: StepTransaction) -> Made[None]:
        seen.append(level(transaction.connection))
        return Made(None, step=step())

    for _ in range(2):
        for connect, commits in (
            (connections.autocommit, 1),
            (connections.relaxed, 1),
            (connections.transaction, 0),
        ):
            with connect() as connection:
                assert (before[0], "READ-COMMITTED", commits) == level(connection)
            with engine.connect() as connection:
                assert before == level(connection)
        journal.transactional.record(claimed(journal), body)
        with engine.connect() as connection:
            assert before == level(connection)
    assert [(before[0], "READ-COMMITTED", 0)] * 2 == seen


@pytest.mark.parametrize("engine", LEVELS, indirect=True)
def test_what_is_written_on_an_engine_is_committed(engine: Engine, server_url: str) -> None:
    """Another process sees each statement, and a transaction at its end."""
    journal, elsewhere = on(engine), Journal(AikiSettings(journal=server_url))
    claim, writing = in_pass(journal, queued(journal))
    writing.append(step())
    writing.close()
    assert ("running", 1) == (
        run_row(elsewhere, claim.run_id).status,
        len(elsewhere.views.steps(claim.run_id)),
    )
    elsewhere.close()


def test_engine_over_another_with_a_level_is_refused(engine: Engine) -> None:
    """Its level would be set after the journal's, and take even the commits of single statements away."""
    with pytest.raises(SettingInvalid, match="execution_options"):
        on(engine.execution_options(isolation_level="REPEATABLE READ"))


@pytest.mark.parametrize("engine", ["AUTOCOMMIT"], indirect=True)
def test_engine_without_transactions_is_refused(engine: Engine) -> None:
    """What the journal writes together would be committed piece by piece."""
    with pytest.raises(SettingInvalid, match="AUTOCOMMIT mode"):
        on(engine)


@pytest.mark.parametrize("is_own", [True, False], ids=["own", "url"])
def test_lost_connection_of_the_pool_is_replaced(engine: Engine, server_url: str, is_own: bool) -> None:
    """Whatever finds out that the server has ended it: the level that is set first, or the statement."""
    journal = on(engine) if is_own else Journal(AikiSettings(journal=server_url))
    connections = journal.connections

    def in_transaction() -> int:
        with connections.transaction() as connection:
            return int(connection.exec_driver_sql("SELECT 1").scalar_one())

    for work in (journal.now, in_transaction, lambda: queued(journal)):
        journal.now()
        lose_connections(server_url)
        assert connections.retrying(work)
    journal.close()


def test_work_waits_for_a_connection_of_a_small_pool_again(engine: Engine, server_url: str) -> None:
    """That the pool gave none in time is no reason to give the work up, and at the end the journal says why."""
    small = create_engine(server_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    journal, taken = on(small), small.connect()
    connections = journal.connections
    with pytest.raises(JournalUnavailable, match="QueuePool limit"):
        connections.retrying(lambda: connections.give_back(connections.take()), patience=0)
    given_back = threading.Timer(0.3, taken.close)
    given_back.start()
    run_id = queued(journal)
    given_back.join()
    assert "queued" == run_row(journal, run_id).status
    small.dispose()
