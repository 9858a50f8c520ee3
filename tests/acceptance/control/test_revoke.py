"""Celery's `revoke` of a run's task id cancels the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery.result import AsyncResult

from aiki_celery import RunStatus, WorkflowCancelled
from tests.acceptance.conftest import Lab
from tests.acceptance.control.conftest import APP, undone
from tests.acceptance.control.definitions import sleeping, stepping
from tests.harness.eventually import eventually


def test_revoke_cancels_a_sleeping_run(lab: Lab) -> None:
    """Its message is kept, so that its code can clean up; `AsyncResult.revoke` is how an operator knows it."""
    lab.start_worker(APP)
    handle = sleeping.enqueue()
    eventually(lambda: handle.status is RunStatus.SLEEPING, 20)

    AsyncResult(handle.id, app=lab.app).revoke()

    with pytest.raises(WorkflowCancelled, match="revoked"):
        handle.get(timeout=20)
    assert ["hotel"] == undone(lab)


@pytest.mark.parametrize("terminate", [False, True])
def test_revoke_in_the_middle_of_a_step(lab: Lab, terminate: bool) -> None:
    """With terminate, the process is ended, and the interrupted step has no outcome; the rest is undone."""
    lab.start_worker(APP, concurrency=1)
    handle = stepping.enqueue()
    eventually(lambda: lab.effects.count("slow begun"), 20)

    lab.app.control.revoke(handle.id, terminate=terminate, signal="SIGKILL")
    eventually(lambda: handle.refresh().cancel_reason == "revoked", 20, "the run to be asked")
    lab.effects.record("go on")

    with pytest.raises(WorkflowCancelled, match="revoked"):
        handle.get(timeout=20)
    assert (["hotel"] if terminate else ["flight", "hotel"]) == undone(lab)
    assert (0 if terminate else 1) == lab.effects.count("slow done")
    assert 0 == lab.effects.count("book", what="car")


def test_cancelled_run_is_told_to_celery(
    make_lab: Callable[..., Lab], postgres_url: str, redis_url: str
) -> None:
    """`AsyncResult.get()` raises, whether its code had begun or not; and nothing is told again and again."""
    lab = make_lab(postgres_url, redis_url, backend=redis_url)
    fresh = sleeping.enqueue()
    fresh.cancel("before it began")
    lab.start_worker(APP)
    handle = sleeping.enqueue()
    eventually(lambda: handle.status is RunStatus.SLEEPING, 20)
    handle.cancel("no holiday")
    forced, delayed = sleeping.enqueue(), sleeping.options(delay=600.0).enqueue()
    eventually(lambda: forced.status is RunStatus.SLEEPING, 20)
    forced.cancel("at once", force=True)
    delayed.cancel("before its time")

    reasons = [(handle, "no holiday"), (fresh, "before it began")]
    reasons += [(forced, "at once"), (delayed, "before its time")]
    for run_id, why in ((run.id, reason) for run, reason in reasons):
        with pytest.raises(WorkflowCancelled, match=why):
            AsyncResult(run_id, app=lab.app).get(timeout=20)
    eventually(lambda: handle.refresh().settlement is None, 20, "the end to be confirmed")
