"""W6, U6: a step that ends its process, once and every time."""

from __future__ import annotations

from collections.abc import Callable

from aiki_celery import RunStatus
from tests.acceptance.chaos.grounds import on_redis_and_embedded
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import deadly, naps


@on_redis_and_embedded
def test_deadly_run_stalls_and_holds_nobody_up(ground: str, deploy: Callable[..., Deployment]) -> None:
    """A process lost now and then costs nothing; a run that kills every time is put aside, the others are done."""
    deployment = deploy(ground, max_recoveries=4)
    worker = deployment.worker()
    once, always, other = new_key("once"), new_key("always"), new_key("other")
    poison = deadly.enqueue(always, 1000)
    sometimes = deadly.enqueue(once, 2)
    others = [naps.delay(other, 1, 0.05) for _ in range(10)]

    assert ["first", 3, "last"] == sometimes.get(timeout=40)
    assert ["first", "die", "die", "die", "last"] == deployment.steps(once)
    for result in others:
        # Until then a run is in its message alone.
        eventually(
            lambda run_id=result.id: deployment.aiki.journal.views.status(run_id), 40, "its first claim"
        )
    assert [0] * 10 == [naps.handle(result.id).get(timeout=40) for result in others]
    assert RunStatus.STALLED is deployment.await_status(poison, RunStatus.STALLED, timeout=40)
    assert "crash_loop" == poison.refresh().reason
    assert ["first", *["die"] * len(deployment.steps(always)[1:])] == deployment.steps(always)
    # The first crash after a recorded step counts as one; the fourth in a row stalls.
    assert 4 <= len(deployment.steps(always)[1:]) <= 5
    assert worker.is_running
