"""L23: the broker is emptied; plain tasks are gone, and every run comes back from the journal."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count
from tests.harness.eventually import eventually
from tests.harness.rabbitmq import RabbitMQServer

Rest = Callable[..., object]


def test_flushed_redis_loses_plain_tasks_and_no_run(lab: Lab, at_rest: Rest) -> None:
    """FLUSHALL before any worker is there."""
    lab.app.send_task("plain-effect", ("plain",))
    handles = count.enqueue_many([(2, 0.0)] * 5)
    assert 6 == lab.depth()
    flush(lab)
    assert 0 == lab.depth()

    lab.start_worker(APP)
    assert [[0, 1]] * 5 == [handle.get(timeout=20) for handle in handles]
    lab.app.send_task("plain-effect", ("marker",))
    eventually(lambda: lab.effects.count("marker") == 1, 10, "a later plain task")
    assert 0 == lab.effects.count("plain")
    assert 10 == lab.effects.count("work")
    at_rest(lab)


def test_redis_flushed_under_a_busy_worker_loses_no_run(lab: Lab, at_rest: Rest) -> None:
    """FLUSHALL while one run is under way and four are queued."""
    lab.start_worker(APP, concurrency=1)
    handles = count.enqueue_many([(3, 0.3)] * 5)
    eventually(lambda: lab.effects.count("work") >= 1, 10, "the first run to begin")
    flush(lab)
    assert [[0, 1, 2]] * 5 == [handle.get(timeout=30) for handle in handles]
    assert 15 == lab.effects.count("work")
    at_rest(lab)


def test_purged_and_deleted_rabbitmq_queue_loses_plain_tasks_and_no_run(
    make_lab: Callable[..., Lab], sqlite_url: str, rabbitmq: RabbitMQServer, rabbitmq_url: str, at_rest: Rest
) -> None:
    """A queue purged before a worker is there, and deleted under its hands."""
    lab = make_lab(sqlite_url, rabbitmq_url)
    lab.app.send_task("plain-effect", ("plain",))
    first = count.enqueue_many([(2, 0.0)] * 3)
    vhost = rabbitmq_url.rpartition("/")[2]
    rabbitmq.api("DELETE", f"/api/queues/{vhost}/celery/contents")

    lab.start_worker(APP, concurrency=1)
    assert [[0, 1]] * 3 == [handle.get(timeout=20) for handle in first]
    assert 0 == lab.effects.count("plain")

    second = count.enqueue_many([(2, 0.4)] * 3)
    eventually(lambda: lab.effects.count("work") > 6, 10, "the second lot to begin")
    rabbitmq.api("DELETE", f"/api/queues/{vhost}/celery")
    assert [[0, 1]] * 3 == [handle.get(timeout=30) for handle in second]
    at_rest(lab)


def flush(lab: Lab) -> None:
    """FLUSHALL."""
    with redis.Redis.from_url(lab.broker) as client:
        client.flushall()
