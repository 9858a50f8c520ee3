"""W4: a worker is asked to end in the middle of a step: warm, cold, and softly."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.acceptance.chaos.grounds import on_redis
from tests.acceptance.chaos.rescue import belongs_to, measured, travellers
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import sending

#: Whoever takes over need not wait for this: a worker that ends says so.
SLOW_TTL = {"worker_ttl": 20.0}


@on_redis
def test_sigterm_drains_at_the_next_step(ground: str, deploy: Callable[..., Deployment]) -> None:
    """The step in flight is finished and kept; the rest is done elsewhere; the worker ends by itself."""
    deployment = deploy(ground, **SLOW_TTL)
    ending = deployment.worker()
    runs = travellers(deployment)
    other = deployment.worker()
    ending.terminate()
    eventually(lambda: "Warm shutdown" in ending.log(), 10, "the shutdown to begin")
    began = time.time()
    for run in runs:
        deployment.open_gate(run.key)
    assert 0 == ending.wait(15)
    _went_on_elsewhere(deployment, runs, other, held=1)
    assert all(any("shutting down" in line.reason for line in run.handle.history()) for run in runs)
    _measure(deployment, runs, began, f"{ground}: SIGTERM")


@on_redis
def test_sigquit_gives_its_runs_back(ground: str, deploy: Callable[..., Deployment]) -> None:
    """A cold shutdown interrupts the step; another worker begins it again at once."""
    deployment = deploy(ground, **SLOW_TTL)
    ending = deployment.worker()
    runs = travellers(deployment)
    other = deployment.worker()
    began = time.time()
    ending.quit()
    ending.wait(15)
    for run in runs:
        deployment.await_step(run.key, times=2)
        deployment.open_gate(run.key)
    _went_on_elsewhere(deployment, runs, other, held=2)
    _measure(deployment, runs, began, f"{ground}: SIGQUIT")


@on_redis
@pytest.mark.parametrize("grace", [0.0, 1.0])
def test_sigquit_gives_its_started_steps_back(
    ground: str, grace: float, deploy: Callable[..., Deployment], key: str
) -> None:
    """A started step is interrupted as well, at once or after the grace; the worker does not wait for its end."""
    deployment = deploy(ground, conf={"worker_soft_shutdown_timeout": grace}, **SLOW_TTL)
    ending = deployment.worker()
    handle = sending.enqueue(key)
    began = deployment.await_step(key)
    assert belongs_to(ending, began["pid"])
    other = deployment.worker()

    ending.quit()

    ending.wait(20)
    again = deployment.await_step(key, times=2)
    deployment.open_gate(key)
    assert ["last"] == handle.get(timeout=20)
    assert ["hold", "hold", "last"] == deployment.steps(key)
    assert belongs_to(other, again["pid"])


@on_redis
def test_soft_shutdown_drains_at_the_next_step(ground: str, deploy: Callable[..., Deployment]) -> None:
    """Within its grace the step in flight is finished and kept, and the ending worker does not take the run back."""
    deployment = deploy(ground, conf={"worker_soft_shutdown_timeout": 8.0}, **SLOW_TTL)
    ending = deployment.worker()
    runs = travellers(deployment)
    other = deployment.worker()
    ending.quit()
    eventually(lambda: "Soft Shutdown" in ending.log(), 10, "the shutdown to begin")
    began = time.time()
    for run in runs:
        deployment.open_gate(run.key)
    _went_on_elsewhere(deployment, runs, other, held=1)
    _measure(deployment, runs, began, f"{ground}: soft shutdown")
    ending.wait(20)


def _went_on_elsewhere(deployment: Deployment, runs: list, other, held: int) -> None:
    for run in runs:
        assert ["first", "last"] == run.handle.get(timeout=20)
        assert ["first", *["hold"] * held, "last"] == deployment.steps(run.key)
        last = deployment.effects.all("step", key=run.key, step="last")
        assert belongs_to(other, last[0]["pid"])


def _measure(deployment: Deployment, runs: list, began: float, what: str) -> None:
    lasts = [deployment.effects.all("step", key=run.key, step="last")[0]["at"] for run in runs]
    measured[what].extend(at - began for at in lasts)
    assert max(lasts) - began <= 10.0, f"{what}: the rest was done after {max(lasts) - began:.1f} s"
