"""An embedded broker of the test's own, for this process and for the workers it starts."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult

from aiki_celery.celery_binding.transport import register
from tests.harness.effects import Effects


@dataclass(frozen=True)
class Broker:
    """The broker file, the app bound to it, and what its tasks did."""

    path: Path
    app: Celery
    effects: Effects

    def send(self, task: str, *args: Any, **options: Any) -> AsyncResult:
        """Sends a task of `embedded_app`."""
        return self.app.send_task(f"tests.integration.transport.embedded_app.{task}", args, **options)

    def messages(self, where: str = "1") -> int:
        """How many messages the file holds."""
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            query = f"SELECT count(*) FROM aiki_broker_messages WHERE {where}"
            count: int = connection.execute(query).fetchone()[0]
        finally:
            connection.close()
        return count

    def tally(self, phase: str = "ended") -> Counter[int]:
        """How often each task got there."""
        return Counter(effect["number"] for effect in self.effects.all(phase))


@pytest.fixture
def broker(tmp_path: Path, effects: Effects, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A new file, a client that sends to it, and an environment in which workers consume from it."""
    register()
    path = tmp_path / "broker.sqlite3"
    url = f"aiki+sqlite:///{path}"
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    client = Celery("client", broker=url, set_as_current=False)
    yield Broker(path, client, effects)
    client.close()
