"""W1-W3: SIGKILL of a pool process, of the worker's main process, of all of it, in the middle of a step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from tests.acceptance.chaos.grounds import on_every_ground
from tests.acceptance.chaos.rescue import belongs_to, interrupt, travellers
from tests.integration.celery.deployment import QUICK, Deployment

CHILD_WITHIN = 5.0
WORKER_WITHIN = QUICK["worker_ttl"] + 5.0


@on_every_ground
def test_killed_worker_loses_nothing(ground: str, deploy: Callable[..., Deployment]) -> None:
    """Its runs go on from the step in flight: at once in the same worker, or within the time to live in another."""
    deployment = deploy(ground)
    first = deployment.worker()

    runs = travellers(deployment)
    assert all(belongs_to(first, run.pid) and run.pid != first.pid for run in runs)

    def kill_children() -> None:
        for run in runs:
            os.kill(run.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid) for run in runs if psutil.pid_exists(pid := run.pid)], 0.2)

    interrupt(deployment, runs, kill_children, f"{ground}: pool child killed", CHILD_WITHIN)
    assert first.is_running

    runs = travellers(deployment)
    second = deployment.worker()

    def kill_main() -> None:
        children = first.children()
        first.kill()
        psutil.wait_procs(children, 5)

    interrupt(deployment, runs, kill_main, f"{ground}: main process killed", WORKER_WITHIN)

    runs = travellers(deployment)
    deployment.worker()
    interrupt(deployment, runs, second.kill_group, f"{ground}: whole group killed", WORKER_WITHIN)


@pytest.mark.parametrize("pool", ["threads", "gevent", "solo"])
def test_killed_worker_of_any_pool_loses_nothing(pool: str, deploy: Callable[..., Deployment]) -> None:
    """One process, killed: another worker takes over."""
    deployment = deploy("embedded+sqlite")
    victim = deployment.worker(pool=pool)
    other = victim if pool != "solo" else deployment.worker(pool=pool)
    runs = travellers(deployment)
    deployment.worker(pool=pool)
    if pool == "solo":
        deployment.worker(pool=pool)

    def kill() -> None:
        for worker in {victim.pid: victim, other.pid: other}.values():
            worker.kill()

    interrupt(deployment, runs, kill, f"embedded+sqlite, {pool}: killed", WORKER_WITHIN)
