"""`expires` is about the start: a run that began in time goes on, however late its message comes again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from aiki_celery import RunStatus
from tests.harness.eventually import eventually
from tests.harness.worker import WorkerProcess
from tests.integration.celery.deployment import QUICK, Deployment, deployed
from tests.integration.celery.flows import add, journey

REDIS = pytest.param("redis_url", marks=pytest.mark.redis)
RABBITMQ = pytest.param("rabbitmq_url", marks=pytest.mark.rabbitmq)


@pytest.fixture(params=[REDIS, RABBITMQ])
def quick(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str, redis_url: str
) -> Iterator[Deployment]:
    """PostgreSQL, either broker, results in Redis."""
    broker = request.getfixturevalue(request.param)
    with deployed(tmp_path, postgres_url, broker, backend=redis_url, **QUICK) as deployment:
        yield deployment


def held_and_expired(deployment: Deployment, key: str) -> WorkerProcess:
    """A run that began in time and is at its held step when its message has expired; gives its worker."""
    worker = deployment.worker()
    expires = datetime.now(timezone.utc) + timedelta(seconds=3)
    journey.apply_async((key,), task_id=key, expires=expires)
    deployment.await_step(key)
    eventually(lambda: datetime.now(timezone.utc) > expires, 10, "the message to expire")
    return worker


def test_run_that_began_in_time_is_recovered(quick: Deployment, key: str) -> None:
    """Its process dies after the expiry, and its message comes again."""
    worker = held_and_expired(quick, key)

    worker.kill_child(quick.await_step(key)["pid"])

    quick.await_step(key, times=2)
    quick.open_gate(key)
    assert ["first", "last"] == quick.client.AsyncResult(key).get(timeout=20)
    assert RunStatus.COMPLETED is quick.aiki.view(key).status
    assert 0 == quick.effects.count("revoked")


def test_message_that_comes_again_leaves_a_live_run_alone(quick: Deployment, key: str) -> None:
    """As after Redis' visibility timeout: nobody has died, and the run is held."""
    worker = held_and_expired(quick, key)

    late = datetime.now(timezone.utc) - timedelta(seconds=1)
    journey.apply_async((key,), task_id=key, expires=late)

    eventually(lambda: f"[{key}] ignored" in worker.log(), 20, "the message to be let go")
    quick.open_gate(key)
    assert ["first", "last"] == quick.client.AsyncResult(key).get(timeout=20)
    assert RunStatus.COMPLETED is quick.aiki.view(key).status
    assert (1, 0) == (quick.effects.count("held", key=key), quick.effects.count("revoked"))


# RabbitMQ itself drops what has expired in the queue, before any worker sees it.
@pytest.mark.parametrize("quick", [REDIS], indirect=True)
def test_start_that_comes_too_late_is_celerys_to_announce(quick: Deployment, key: str) -> None:
    """State, reason and signal are those of any task that has expired, and its message is gone."""
    late = datetime.now(timezone.utc) - timedelta(seconds=1)
    result = add.apply_async((1, 2), expires=late)
    plain = quick.task("plain.add").apply_async((1, 2), expires=late)

    quick.worker()

    own, celerys = (eventually(lambda r=r: r.ready() and r.info, 20) for r in (result, plain))
    assert (type(celerys), celerys.args) == (type(own), own.args)
    told = eventually(lambda: quick.effects.count("revoked") == 2 and quick.effects.all("revoked"), 20)
    assert {(result.id, True), (plain.id, True)} == {(one["id"], one["expired"]) for one in told}
    eventually(lambda: quick.depth() == 0, 10, "the messages to be gone")
