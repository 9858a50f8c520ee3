"""B4, B6: every message comes twice; Redis gives out again what is still being worked on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.acceptance.chaos.grounds import on_redis, on_redis_and_embedded
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import naps

RUNS = 8


@on_redis_and_embedded
def test_messages_that_come_twice_start_nothing_twice(ground: str, deploy: Callable[..., Deployment]) -> None:
    """Each run is done once, with each of its steps once, however it was started."""
    deployment = deploy(ground, redelivery_after=60.0)
    keys = [new_key(str(number)) for number in range(2 * RUNS)]
    handles = [naps.enqueue(key, 2, 0.05) for key in keys[:RUNS]]
    handles += [naps.handle(naps.delay(key, 2, 0.05).id) for key in keys[RUNS:]]
    doubled = _double_redis(deployment) if deployment.broker else _double_file(deployment)
    assert 4 * RUNS == doubled, "the fault: every message is there twice"
    deployment.worker()
    eventually(lambda: deployment.effects.count("step") >= 4 * RUNS, 30, "every step")
    assert [1] * 2 * RUNS == [handle.get(timeout=30) for handle in handles]
    eventually(lambda: deployment.depth() == 0, 20, "the queue to be empty")
    assert [["nap 0", "nap 1"]] * 2 * RUNS == [deployment.steps(key) for key in keys]
    assert [1] * 2 * RUNS == [handle.refresh().epoch for handle in handles]


@on_redis
def test_step_longer_than_the_visibility_timeout_runs_once(
    ground: str, deploy: Callable[..., Deployment]
) -> None:
    """With a timeout of 1 s under a step of 4 s, a plain acks_late task is run again; a workflow's step is not."""
    conf = {"broker_transport_options": {"visibility_timeout": 1}, "task_acks_late": True}
    deployment = deploy(ground, conf=conf)
    deployment.worker(concurrency=6)
    plain, sent, enqueued = new_key("plain"), new_key("sent"), new_key("enqueued")
    deployment.task("plain.nap").delay(plain, 4.0)
    handles = [naps.handle(naps.delay(sent, 1, 4.0).id), naps.enqueue(enqueued, 1, 4.0)]
    with _restoring(deployment):
        eventually(
            lambda: deployment.effects.count("plain nap", key=plain) >= 2, 15, "the plain task's second run"
        )
        assert [0, 0] == [handle.get(timeout=30) for handle in handles]
    assert [["nap 0"], ["nap 0"]] == [deployment.steps(key) for key in (sent, enqueued)]


@contextmanager
def _restoring(deployment: Deployment) -> Iterator[None]:
    """Does four times a second what every worker does now and then: give out again what timed out."""
    stop = threading.Event()

    def restore() -> None:
        with deployment.client.connection_for_read() as connection:
            while not stop.wait(0.25):
                connection.default_channel.qos.restore_visible(num=100, interval=1)

    thread = threading.Thread(target=restore)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def _double_redis(deployment: Deployment) -> int:
    with redis.Redis.from_url(deployment.broker) as client:
        for message in client.lrange("celery", 0, -1):
            client.lpush("celery", message)
        return client.llen("celery")


def _double_file(deployment: Deployment) -> int:
    connection = sqlite3.connect(deployment.journal.partition(":///")[2], timeout=10)
    with connection:
        columns = [
            row[1] for row in connection.execute("PRAGMA table_info(aiki_broker_messages)") if not row[5]
        ]
        names = ", ".join(columns)
        connection.execute(
            f"INSERT INTO aiki_broker_messages ({names}) SELECT {names} FROM aiki_broker_messages"
        )
    connection.close()
    return deployment.depth()
