"""Two workers of one application, started once: one with a result backend, one without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from celery import Celery
from celery._state import get_current_app

from aiki_celery import Aiki
from tests.acceptance.conftest import TIMINGS
from tests.harness.effects import EFFECTS_ENV, Effects
from tests.harness.redis_server import RedisServer
from tests.harness.worker import WorkerProcess

APP = "tests.acceptance.canvas.app"
QUEUES = ("celery", "elsewhere")


@dataclass(frozen=True)
class Sides:
    """Both sides.

    Attributes:
        plain: The client of Celery alone, with a result backend.
        aiki: The extension of the client that has no backend.
        effects: What tasks did, on either side.
    """

    plain: Celery
    aiki: Aiki
    effects: Effects


@pytest.fixture(scope="session")
def sides(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both workers, and a client of each."""
    folder = tmp_path_factory.mktemp("canvas")
    plain_url, durable_url = redis_server.new_database(), redis_server.new_database()
    journals = [f"sqlite:///{folder / name}.sqlite3" for name in ("plain", "durable")]
    effects = Effects(folder / "effects.jsonl")
    env = {**TIMINGS, EFFECTS_ENV: str(effects.path), "AIKI_REDELIVERY_AFTER": "5"}
    with ExitStack() as stack:
        for url, journal, extra in (
            (plain_url, journals[0], {"CELERY_RESULT_BACKEND": plain_url}),
            (durable_url, journals[1], {}),
        ):
            own = {"CELERY_BROKER_URL": url, "AIKI_JOURNAL": journal, **extra}
            stack.enter_context(WorkerProcess(APP, env={**env, **own}, queues=QUEUES, concurrency=2))
        plain = Celery("plain", broker=plain_url, backend=plain_url, set_as_current=False)
        client = Celery("durable", broker=durable_url, set_as_current=False)
        client.conf.task_routes = plain.conf.task_routes = {"canvas-return-headers": {"queue": "elsewhere"}}
        aiki = Aiki(client, journal=journals[1])
        client.finalize()
        stack.callback(aiki.close)
        yield Sides(plain, aiki, effects)


@pytest.fixture
def current(sides: Sides) -> Iterator[Sides]:
    """Signatures belong to the plain client, and ``durable`` to the other's extension, inside a test."""
    before = get_current_app()
    sides.plain.set_current()
    try:
        with sides.aiki:
            yield sides
    finally:
        before.set_current()
