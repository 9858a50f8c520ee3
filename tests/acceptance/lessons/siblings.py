"""Workflows of the lessons that start steps beside one another."""

from __future__ import annotations

import os
import time

from aiki_celery import Retry, TaskFailed, WorkflowRun, current_step, task, workflow
from tests.harness.effects import record_effect
from tests.harness.telling import tell

#: Queue of the steps that are to wait for a worker of their own.
APART = "lesson-apart"


@task(name="lesson-gated")
def gated(number: int, gate: str) -> int:
    """Is under way until a file is there."""
    tell("gated", number=number)
    deadline = time.monotonic() + 60
    while not os.path.exists(gate) and time.monotonic() < deadline:
        time.sleep(0.02)
    return number


@task(name="lesson-beside")
def beside(number: int, seconds: float) -> int:
    tell("beside", number=number)
    time.sleep(seconds)
    record_effect("beside ended", number=number)
    return number


@task(name="lesson-apart", queue=APART)
def apart(number: int) -> int:
    tell("apart", number=number)
    return number


# Beyond the delay that is slept in the process, so that the step waits in the journal for its next attempt.
@task(name="lesson-unsteady", retry=Retry.fixed(3, 1.1))
def unsteady(works_at: int) -> int:
    attempt = current_step().attempt
    tell("unsteady")
    if attempt < works_at:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@workflow(name="lesson-two-branches")
def two_branches(run: WorkflowRun, gate: str) -> list[int]:
    record_effect("pass", run=run.id)
    earlier, later = gated.start(run, 1, gate), beside.start(run, 2, 0.0)
    return run.gather(earlier, later)


@workflow(name="lesson-siblings")
def siblings(run: WorkflowRun, works_at: int) -> list[int]:
    record_effect("pass", run=run.id)
    quick, retried, slow = beside.start(run, 1, 0.0), unsteady.start(run, works_at), beside.start(run, 2, 3.0)
    try:
        return run.gather(quick, retried, slow)
    except TaskFailed as error:
        return [quick.result(), -error.attempts, slow.result()]


@workflow(name="lesson-one-gated")
def one_gated(run: WorkflowRun, gate: str) -> int:
    return gated.start(run, 1, gate).result()


@workflow(name="lesson-one-beside")
def one_beside(run: WorkflowRun, seconds: float) -> int:
    return beside.start(run, 1, seconds).result()


@workflow(name="lesson-many-apart")
def many_apart(run: WorkflowRun, count: int) -> list[int]:
    return run.map(apart, range(count))
