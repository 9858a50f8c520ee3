"""Queued runs that nobody takes: published again, without flooding the broker; put aside after a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiki_celery import RunStatus
from tests.acceptance.chaos.grounds import on_brokers, on_redis
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import journey, naps

BACKLOG = 30


@on_redis
def test_backlog_is_not_amplified(ground: str, deploy: Callable[..., Deployment]) -> None:
    """A busy worker and a long queue: the broker holds no more messages than there are queued runs."""
    deployment = deploy(ground, redelivery_after=0.3)
    deployment.worker(concurrency=1, args=("--prefetch-multiplier", "1"))
    key, many = new_key("long"), new_key("many")
    long = journey.enqueue(key)
    deployment.await_step(key)
    handles = naps.enqueue_many([(many, 1, 0.0)] * BACKLOG)
    depths, deadline = [], time.monotonic() + 5.0
    while time.monotonic() < deadline:
        depths.append(deployment.depth())
        time.sleep(0.05)
    published = [len(handle.history()) for handle in handles]
    assert max(depths) <= BACKLOG, f"{max(depths)} messages for {BACKLOG} runs; per run {published}"
    assert min(depths) >= BACKLOG - 2, "the fault: the backlog did wait"
    deployment.open_gate(key)
    assert ["first", "last"] == long.get(timeout=20)
    assert [0] * BACKLOG == [handle.get(timeout=30) for handle in handles]
    assert BACKLOG == deployment.effects.count("step", key=many)


@on_brokers
def test_run_behind_a_long_one_goes_to_an_idle_worker(ground: str, deploy: Callable[..., Deployment]) -> None:
    """What a busy worker holds back for itself is done by another after `redelivery_after`."""
    deployment = deploy(ground)
    deployment.worker(concurrency=1)
    key = new_key("long")
    long = journey.enqueue(key)
    deployment.await_step(key)
    behind = naps.enqueue_many([(new_key("behind"), 1, 0.0)] * 3)
    eventually(lambda: deployment.depth() == 0, 10, "the busy worker to have taken every message")
    deployment.worker(concurrency=1)
    assert [0] * 3 == [handle.get(timeout=10) for handle in behind]
    assert RunStatus.RUNNING is long.status
    deployment.open_gate(key)
    assert ["first", "last"] == long.get(timeout=20)


@on_redis
def test_undelivered_run_is_stalled_and_can_be_queued_again(
    ground: str, deploy: Callable[..., Deployment]
) -> None:
    """Nobody serves its queue for `stalled_after`; the reason says so, and a worker of that queue ends the wait."""
    deployment = deploy(ground, stalled_after=1.0)
    handle = naps.options(queue="nobody").enqueue(new_key(), 2, 0.0)
    created = handle.refresh().created_at / 1e6
    eventually(lambda: time.time() > created + 1.2, 10, "the time after which it counts as undelivered")
    deployment.worker()
    deployment.await_status(handle, RunStatus.STALLED)
    assert "undelivered" == handle.refresh().reason
    deployment.worker(queues=["nobody"])
    handle.requeue()
    assert 1 == handle.get(timeout=20)
