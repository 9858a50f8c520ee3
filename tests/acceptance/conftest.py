"""A laboratory: a journal, a broker, a client in this process, workers in others, and the judge's store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery

from aiki_celery import Aiki
from tests.harness.effects import Effects
from tests.harness.worker import WorkerProcess

#: Seconds instead of minutes.
TIMINGS = {
    "AIKI_HEARTBEAT_INTERVAL": "0.5",
    "AIKI_WORKER_TTL": "2",
    "AIKI_POLL_INTERVAL": "0.2",
    "AIKI_REDELIVERY_AFTER": "1",
}


@dataclass(frozen=True)
class Lab:
    """One journal and one broker.

    Attributes:
        journal: SQLAlchemy URL.
        broker: Celery's URL.
        app: The client's application.
        aiki: The client's extension.
        effects: What steps did.
        start_worker: Starts a `celery worker` on both.
    """

    journal: str
    broker: str
    app: Celery
    aiki: Aiki
    effects: Effects
    start_worker: Callable[..., WorkerProcess]

    def depth(self, queue: str = "celery") -> int:
        """How many messages wait in a queue."""
        return self.aiki.binding.dispatcher.depth(queue)


@pytest.fixture
def make_lab(
    effects: Effects, start_worker: Callable[..., WorkerProcess], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Lab]]:
    """Makes a laboratory: `make_lab(journal, broker)`, and `backend=` for results."""
    stack = ExitStack()

    def make(journal: str, broker: str, backend: str | None = None, **celery_settings: Any) -> Lab:
        for name, value in TIMINGS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIKI_JOURNAL", journal)
        monkeypatch.setenv("CELERY_BROKER_URL", broker)
        if backend is not None:
            monkeypatch.setenv("CELERY_RESULT_BACKEND", backend)
        app = Celery("client", broker=broker, backend=backend, set_as_current=False)
        app.conf.update(celery_settings)
        aiki = Aiki(app, journal=journal)
        aiki.upgrade_journal()
        app.finalize()
        stack.enter_context(aiki)
        stack.callback(app.close)
        stack.callback(aiki.close)
        return Lab(journal, broker, app, aiki, effects, start_worker)

    with stack:
        yield make


@pytest.fixture
def lab(make_lab: Callable[..., Lab], postgres_url: str, redis_url: str) -> Lab:
    """PostgreSQL and Redis, without a result backend."""
    return make_lab(postgres_url, redis_url)


@pytest.fixture
def embedded_lab(make_lab: Callable[..., Lab], sqlite_url: str) -> Lab:
    """No server at all: journal and broker in one SQLite file."""
    return make_lab(sqlite_url, f"aiki+{sqlite_url}")


@pytest.fixture
def other_lab(make_lab: Callable[..., Lab], mariadb_url: str, rabbitmq_url: str) -> Lab:
    """MariaDB and RabbitMQ, without a result backend."""
    return make_lab(mariadb_url, rabbitmq_url)
