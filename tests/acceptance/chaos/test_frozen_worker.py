"""W5: a worker is frozen for longer than its time to live, and comes back as a zombie."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.acceptance.chaos.grounds import on_redis
from tests.acceptance.chaos.rescue import belongs_to, measured, travellers
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import QUICK, Deployment, new_key
from tests.integration.celery.flows import naps


@on_redis
def test_zombie_finishes_its_step_and_writes_nothing(ground: str, deploy: Callable[..., Deployment]) -> None:
    """Its runs are done by another worker meanwhile; what it makes of them afterwards is refused; it serves on."""
    deployment = deploy(ground)
    zombie = deployment.worker()
    runs = travellers(deployment)
    other = deployment.worker()
    began = time.time()
    zombie.stop()
    for run in runs:
        again = deployment.await_step(run.key, times=2)
        assert belongs_to(other, again["pid"])
        measured[f"{ground}: worker frozen"].append(again["at"] - began)
        deployment.open_gate(run.key)
    assert [["first", "last"]] * 2 == [run.handle.get(timeout=20) for run in runs]
    eventually(lambda: not any(run.handle.refresh().settlement for run in runs), 10, "Celery to be told")
    ends = [run.handle.refresh() for run in runs]
    assert [2, 2] == [end.epoch for end in ends]

    zombie.cont()
    for run in runs:
        eventually(
            lambda key=run.key: deployment.effects.count("held", key=key) == 2, 15, "the zombie's step"
        )
        eventually(lambda id=run.handle.id: _refused(zombie.log(), id), 10, "the refusal in the zombie's log")
    assert ends == [run.handle.refresh() for run in runs], "the journal is as it was"
    assert [["first", "hold", "hold", "last"]] * 2 == [deployment.steps(run.key) for run in runs]

    other.kill_group()
    key = new_key()
    assert 1 == naps.enqueue(key, 2, 0.0).get(timeout=QUICK["worker_ttl"] + 15), (
        "the zombie is a worker again"
    )


def _refused(log: str, run_id: str) -> bool:
    return any("WARNING" in line and run_id in line and "taken over" in line for line in log.splitlines())
