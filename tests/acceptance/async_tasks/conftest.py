"""One worker per pool, on one SQLite file, for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.async_tasks.echo import EchoServer, serving
from tests.acceptance.conftest import TIMINGS, Lab
from tests.harness.effects import EFFECTS_ENV, Effects
from tests.harness.worker import WorkerProcess

APP = "tests.acceptance.async_tasks.app"


@pytest.fixture(scope="module", params=["prefork", "threads", "gevent", "solo"])
def pool_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Journal, broker, client, and one worker of each pool in turn, with room for one message at a time."""
    folder = tmp_path_factory.mktemp(request.param)
    journal = f"sqlite:///{folder / 'test.sqlite3'}"
    effects = Effects(folder / "effects.jsonl")
    broker = f"aiki+{journal}"
    env = {**TIMINGS, "AIKI_JOURNAL": journal, "CELERY_BROKER_URL": broker, EFFECTS_ENV: str(effects.path)}
    app = Celery("client", broker=broker, set_as_current=False)
    with (
        Aiki(app, journal=journal) as aiki,
        WorkerProcess(
            APP, pool=request.param, concurrency=1, env=env, log_path=folder / "worker.log"
        ) as worker,
    ):
        yield Lab(journal, broker, app, aiki, effects, lambda *_, **__: worker)
        aiki.close()
    app.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    """What async tasks talk to."""
    with serving() as server:
        yield server
