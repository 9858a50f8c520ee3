"""A run that has held one message for long hands itself over, so that no broker's timeout comes between."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.chaos.grounds import on_redis_and_embedded
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import naps


@on_redis_and_embedded
def test_long_run_goes_on_with_a_new_message(ground: str, deploy: Callable[..., Deployment]) -> None:
    """At a step boundary, with its finished steps kept, however it was started."""
    deployment = deploy(ground, max_hold=0.5)
    deployment.worker()
    keys = [new_key("enqueued"), new_key("delayed")]
    handles = [naps.enqueue(keys[0], 6, 0.3), naps.handle(naps.delay(keys[1], 6, 0.3).id)]
    for key, handle in zip(keys, handles, strict=True):
        deployment.await_step(key, "nap 5")
        assert 15 == handle.get(timeout=20)
        assert [f"nap {number}" for number in range(6)] == deployment.steps(key)
        handed = [line.reason for line in handle.history() if "held for" in line.reason]
        assert 2 <= len(handed) <= 5
        assert 0 == handle.refresh().recoveries
