"""W7, W8: Celery's time limits end a run in the middle of a step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery.exceptions import TimeLimitExceeded

from aiki_celery import TaskFailed, WorkflowFailed
from tests.acceptance.chaos.grounds import on_redis
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import journey, naps, patient


@on_redis
def test_time_limits_end_runs_as_failed(ground: str, deploy: Callable[..., Deployment]) -> None:
    """The hard one fails the run at once and for good; the soft one is an error of the step, which code may catch."""
    conf = {"task_annotations": {"journey@1.0.0": {"time_limit": 1}}}
    deployment = deploy(ground, conf=conf, worker_ttl=20.0)
    worker = deployment.worker()

    sent, enqueued, soft, caught = (new_key(name) for name in ("sent", "enqueued", "soft", "caught"))
    hard = journey.apply_async((sent,), time_limit=1)
    handle = journey.enqueue(enqueued)
    with pytest.raises(TimeLimitExceeded):
        hard.get(timeout=20)
    for failed in (handle, journey.handle(hard.id)):
        with pytest.raises(WorkflowFailed, match=r"TimeLimitExceeded: .*hard time limit of 1 s"):
            failed.get(timeout=20)

    softly = naps.apply_async((soft, 1, 30.0), soft_time_limit=1)
    gently = patient.apply_async((caught,), soft_time_limit=1)
    with pytest.raises(TaskFailed, match="SoftTimeLimitExceeded"):
        softly.get(timeout=20)
    assert "caught SoftTimeLimitExceeded" == gently.get(timeout=20)

    assert 1 == naps.enqueue(new_key(), 2, 0.0).get(timeout=20)
    assert [["first", "hold"]] * 2 == [deployment.steps(key) for key in (sent, enqueued)], (
        "begun once, for good"
    )
    assert [["nap 0"], ["hold", "caught SoftTimeLimitExceeded"]] == [
        deployment.steps(key) for key in (soft, caught)
    ]
    assert worker.is_running
