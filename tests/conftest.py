"""The servers, workers and stores that tests ask for by name; `tests/harness` does the work."""

from __future__ import annotations

import statistics
import weakref
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiki_celery.celery_binding.process import ProcessIdentity
from tests.harness import child_process
from tests.harness.effects import EFFECTS_ENV, Effects
from tests.harness.mariadb import MariaDBServer
from tests.harness.postgres import PostgresServer
from tests.harness.rabbitmq import RabbitMQServer
from tests.harness.redis_server import RedisServer
from tests.harness.server import Server
from tests.harness.worker import WorkerProcess

#: What a test notes in its report how long a recovery took: what was lost, then seconds.
RECOVERY = "recovery"

SERVERS = {"postgres": "postgres", "mariadb": "mariadb", "redis_server": "redis", "rabbitmq": "rabbitmq"}

_alive: weakref.WeakSet[ProcessIdentity] = weakref.WeakSet()


def _serve(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session", autouse=True)
def _noted_heartbeats() -> Iterator[None]:
    """Note each heartbeat of this process, for the end of the test that begins it."""
    stand_alone = ProcessIdentity._stand_alone

    def noted(self: ProcessIdentity) -> str:
        _alive.add(self)
        return stand_alone(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProcessIdentity, "_stand_alone", noted)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """End them while their databases are there: later ones would be disturbed."""
    while _alive:
        _alive.pop().end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run; tests that kill it leave it to the next one to start it again."""
    yield from _serve(PostgresServer())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """One MariaDB for the whole run."""
    yield from _serve(MariaDBServer())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the whole run."""
    yield from _serve(RedisServer())


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQServer]:
    """One RabbitMQ for the whole run; it takes 5 to 10 seconds to start."""
    yield from _serve(RabbitMQServer())


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database, dropped after the test."""
    url = postgres.new_database()
    yield url
    postgres.ensure_running()
    postgres.drop_database(url)


@pytest.fixture
def mariadb_url(mariadb: MariaDBServer) -> Iterator[str]:
    """An empty MariaDB database, dropped after the test."""
    url = mariadb.new_database()
    yield url
    mariadb.ensure_running()
    mariadb.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'test.sqlite3'}"


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """An empty Redis database, emptied after the test."""
    url = redis_server.new_database()
    yield url
    redis_server.ensure_running()
    redis_server.drop_database(url)


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQServer) -> Iterator[str]:
    """An empty RabbitMQ vhost, deleted after the test."""
    url = rabbitmq.new_vhost()
    yield url
    rabbitmq.ensure_running()
    rabbitmq.drop_vhost(url)


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Effects:
    """The judge's store; steps in this process and in the workers it starts find it by themselves."""
    path = tmp_path / "effects.jsonl"
    monkeypatch.setenv(EFFECTS_ENV, str(path))
    return Effects(path)


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers: `start_worker("module", pool=..., ...)`; none outlives the test."""
    workers: list[WorkerProcess] = []

    def start(app: str, **options: Any) -> WorkerProcess:
        options.setdefault("log_path", tmp_path / f"worker-{len(workers) + 1}.log")
        worker = WorkerProcess(app, **options)
        workers.append(worker)
        return worker.start()

    yield start
    for worker in workers:
        worker.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failure shows the end of the log of every worker and server the test had."""
    report = yield
    if report.failed:
        for process in child_process.started:
            report.sections.append((f"log of {process.name} (pid {process.pid})", process.tail(60)))
    if call.when == "teardown":
        child_process.forget_ended()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks a test with the servers it starts, so that `-m "not rabbitmq"` leaves them out."""
    for item in items:
        for fixture, mark in SERVERS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints how long recoveries took, in whichever process their tests ran."""
    measured: defaultdict[str, list[float]] = defaultdict(list)
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        for name, told in getattr(report, "user_properties", ()):
            if name == RECOVERY and report.when == "teardown":
                measured[told[0]] += told[1:]
    for what, seconds in sorted(measured.items()):
        p50, most = statistics.median(seconds), max(seconds)
        terminalreporter.write_line(f"recovery {what:<45} n={len(seconds)} p50={p50:.2f} s max={most:.2f} s")
