"""B1, B2, B9: the broker is killed and comes back after seconds; runs are enqueued while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from aiki_celery import RunStatus
from tests.acceptance.chaos.grounds import on_brokers
from tests.acceptance.chaos.rescue import measured, travellers
from tests.harness.eventually import eventually
from tests.harness.server import Server
from tests.harness.worker import WorkerProcess
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import journey, naps

SERVER = {"redis+postgres": "redis_server", "rabbitmq+postgres": "rabbitmq"}


@on_brokers
def test_killed_broker_delays_runs_and_loses_none(
    ground: str, deploy: Callable[..., Deployment], request: pytest.FixtureRequest
) -> None:
    """What is at work goes on, what sleeps wakes, what was queued or is enqueued meanwhile is done afterwards."""
    deployment = deploy(ground)
    server: Server = request.getfixturevalue(SERVER[ground])
    worker = deployment.worker()
    sleeper = new_key("sleeper")
    asleep = journey.enqueue(sleeper, 1.0)
    deployment.await_status(asleep, RunStatus.SLEEPING)
    deployment.open_gate(sleeper)
    busy = travellers(deployment)
    queued_keys = [new_key("queued") for _ in range(5)]
    queued = [naps.enqueue(key, 2, 0.0) for key in queued_keys]

    server.kill()
    eventually(lambda: "onnection to broker lost" in worker.log(), 20, "the worker to notice")
    began = time.monotonic()
    late_key = new_key("late")
    late = naps.enqueue(late_key, 2, 0.0)
    measured[f"{ground}: enqueue without a broker returns"].append(time.monotonic() - began)
    assert time.monotonic() - began < 20, "enqueue does not wait for the broker"
    assert RunStatus.QUEUED is late.status
    server.start()
    back = time.time()

    for run in busy:
        deployment.open_gate(run.key)
    _supervise(deployment, worker)
    assert [["first", "last"]] * 2 == [run.handle.get(timeout=30) for run in busy]
    assert [1] * 6 == [handle.get(timeout=30) for handle in [*queued, late]]
    assert ["first", "last"] == asleep.get(timeout=30)
    assert [["first", "hold", "last"]] * 3 == [
        deployment.steps(key) for key in (*(run.key for run in busy), sleeper)
    ]
    assert [["nap 0", "nap 1"]] * 6 == [deployment.steps(key) for key in (*queued_keys, late_key)]
    lasts = [effect["at"] for effect in deployment.effects.all("step", step="nap 1")]
    measured[f"{ground}: broker back, all queued runs done"].append(max(lasts) - back)


def _supervise(deployment: Deployment, worker: WorkerProcess) -> None:
    """Starts another worker if this one has ended, as its supervisor would.

    When Redis is killed while messages are unacknowledged, kombu 5.7 may fail at giving them back (`'NoneType' object
    has no attribute 'hostname'`), which ends any Celery worker.
    """
    eventually(
        lambda: not worker.is_running or worker.log().count("Connected to") > 1,
        30,
        "the worker to be connected again, or to end",
    )
    if not worker.is_running:
        assert "Unrecoverable error: AttributeError" in worker.log()
        assert "hostname" in worker.log()
        deployment.worker()
