"""L2: catch, notify, re-raise: the notice of failure goes out once, and only when the step has given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Retry as CeleryRetry

from aiki_celery import RunSuspended, WorkflowFailed, WorkflowRun, workflow
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import pay, work


@workflow(name="lesson-swallow")
def swallow(run: WorkflowRun) -> list[str]:
    seen = []
    try:
        run.sleep(0.05)
    except BaseException as suspended:
        seen.append(type(suspended).__name__)
        with pytest.raises(RunSuspended):
            work.run(run, 1, 0.0)
    work.run(run, 2, 0.0)
    return seen


def test_pattern_misfires_where_a_retry_is_an_exception(embedded_lab: Lab) -> None:
    """The fault, in plain Celery: the notice goes out after attempt 1 of 3, while the task merely waits."""
    notices = []

    @embedded_lab.app.task(bind=True, max_retries=2, name="plain-pay")
    def plain_pay(self: Any) -> None:
        try:
            raise self.retry(exc=ConnectionError(), throw=True, countdown=0)
        except Exception:
            notices.append(self.request.retries)
            raise

    with pytest.raises((CeleryRetry, ConnectionError)):
        plain_pay.apply(throw=True).get()
    assert 0 in notices


def test_notice_waits_until_the_step_has_given_up(
    embedded_lab: Lab, at_rest: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker that the waiting run frees: three attempts and one notice, or none if the third attempt works."""
    lab = embedded_lab
    monkeypatch.setenv("AIKI_INLINE_WAIT", "0.1")
    lab.start_worker(APP, concurrency=1)
    mended, broken = pay.enqueue(3), pay.enqueue(99)
    assert 3 == mended.get(timeout=20)
    with pytest.raises(WorkflowFailed, match="ConnectionError: attempt 3"):
        broken.get(timeout=20)
    assert [broken.id] == [effect["key"].split(":")[0] for effect in lab.effects.all("notify")]
    assert 6 == lab.effects.count("charge")
    assert 2 == sum(line.status == "awaiting_retry" for line in broken.history())
    at_rest(lab, max_attempts={"lesson-charge": 3})


def test_swallowed_suspension_can_write_nothing(embedded_lab: Lab) -> None:
    """Code that catches BaseException goes on in vain: the run is suspended, and no step runs."""
    assert [] == swallow.apply().get()
    assert [2] == [effect["number"] for effect in embedded_lab.effects.all("work")]
