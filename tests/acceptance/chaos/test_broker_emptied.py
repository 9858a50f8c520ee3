"""B3: the broker forgets everything it held: flushed, purged, its queue deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
import redis

from aiki_celery import RunStatus
from tests.acceptance.chaos.grounds import EMBEDDED, RABBITMQ, REDIS
from tests.harness.rabbitmq import RabbitMQServer
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import journey, naps

QUEUED = 6


@pytest.mark.parametrize(
    ("ground", "how"),
    [
        pytest.param(*ground.values, how, id=f"{ground.id}-{how}", marks=ground.marks)
        for ground, how in [
            (REDIS, "FLUSHALL"),
            (RABBITMQ, "purge"),
            (RABBITMQ, "delete"),
            (EMBEDDED, "DELETE"),
        ]
    ],
)
def test_emptied_broker_loses_no_run(
    ground: str, how: str, deploy: Callable[..., Deployment], request: pytest.FixtureRequest
) -> None:
    """Queued runs are published again from the journal, sleeping ones never needed the broker."""
    deployment = deploy(ground)
    worker = deployment.worker()
    sleeper = new_key("sleeper")
    asleep = journey.enqueue(sleeper, 2.0)
    deployment.await_status(asleep, RunStatus.SLEEPING)
    deployment.open_gate(sleeper)
    worker.kill_group()

    keys = [new_key("queued") for _ in range(QUEUED)]
    handles = [naps.enqueue(key, 2, 0.0) for key in keys]
    if ground == "redis+postgres":
        held = _flush_redis(deployment)
    elif ground == "rabbitmq+postgres":
        held = _empty_rabbitmq(deployment, request.getfixturevalue("rabbitmq"), how)
    else:
        held = _empty_file(deployment)
    assert held >= QUEUED, "the fault: there was something to lose"

    deployment.worker()
    assert [1] * QUEUED == [handle.get(timeout=30) for handle in handles]
    assert ["first", "last"] == asleep.get(timeout=30)
    assert [["nap 0", "nap 1"]] * QUEUED == [deployment.steps(key) for key in keys]
    assert ["first", "hold", "last"] == deployment.steps(sleeper)


def _flush_redis(deployment: Deployment) -> int:
    with redis.Redis.from_url(deployment.broker) as client:
        held = client.llen("celery")
        client.flushall()
        return held


def _empty_rabbitmq(deployment: Deployment, server: RabbitMQServer, how: str) -> int:
    with deployment.client.connection_for_read() as connection:
        held = connection.default_channel.queue_declare("celery", passive=True).message_count
    queue = f"/api/queues/{deployment.broker.rpartition('/')[2]}/celery"
    server.api("DELETE", queue + ("/contents" if how == "purge" else ""))
    return held


def _empty_file(deployment: Deployment) -> int:
    connection = sqlite3.connect(deployment.journal.partition(":///")[2], timeout=10)
    with connection:
        held = connection.execute("DELETE FROM aiki_broker_messages WHERE queue = 'celery'").rowcount
    connection.close()
    return held
