"""W9, W10: pool processes come and go, and inherit what was opened before them."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.chaos.grounds import on_redis
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import naps


@on_redis
def test_processes_of_one_task_each_lose_nothing(ground: str, deploy: Callable[..., Deployment]) -> None:
    """`--max-tasks-per-child=1`: every run has a process of its own, and none is taken for a crash."""
    deployment = deploy(ground)
    deployment.worker(args=("--max-tasks-per-child", "1"))
    keys = [new_key(str(number)) for number in range(8)]
    handles = naps.enqueue_many([(key, 2, 0.0) for key in keys])
    assert [1] * 8 == [handle.get(timeout=40) for handle in handles]
    assert [["nap 0", "nap 1"]] * 8 == [deployment.steps(key) for key in keys]
    pids = {effect["pid"] for effect in deployment.effects.all("step")}
    assert 8 == len(pids), "the fault: a new process for each run"


@on_redis
def test_autoscaling_down_loses_nothing(ground: str, deploy: Callable[..., Deployment]) -> None:
    """The pool grows under load and shrinks after it, while a run is at work."""
    deployment = deploy(ground)
    worker = deployment.worker(args=("--autoscale", "4,1"), env={"AUTOSCALE_KEEPALIVE": "1"})
    keys = [new_key(str(number)) for number in range(12)]
    handles = naps.enqueue_many([(key, 2, 0.3) for key in keys])
    eventually(lambda: len(worker.children()) >= 4, 20, "the pool to grow")
    late = new_key("late")
    last = naps.enqueue(late, 30, 0.2)
    assert [1] * 12 == [handle.get(timeout=40) for handle in handles]
    eventually(lambda: len(worker.children()) <= 2, 30, "the pool to shrink")
    assert sum(range(30)) == last.get(timeout=40)
    assert [["nap 0", "nap 1"]] * 12 == [deployment.steps(key) for key in keys]
    assert [f"nap {number}" for number in range(30)] == deployment.steps(late)


@on_redis
def test_connection_opened_before_the_fork_is_not_shared(
    ground: str, deploy: Callable[..., Deployment]
) -> None:
    """Four processes write at once, each on a connection of its own."""
    deployment = deploy(ground)
    worker = deployment.worker(app="tests.acceptance.chaos.forked_app", concurrency=4)
    keys = [new_key(str(number)) for number in range(12)]
    handles = naps.enqueue_many([(key, 10, 0.01) for key in keys])
    assert [45] * 12 == [handle.get(timeout=30) for handle in handles]
    assert [[f"nap {number}" for number in range(10)]] * 12 == [deployment.steps(key) for key in keys]
    assert 4 == len({effect["pid"] for effect in deployment.effects.all("step")})
    assert "Traceback" not in worker.log()
