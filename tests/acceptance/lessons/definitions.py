"""The workflows of the lessons."""

from __future__ import annotations

import os
import resource
import signal
import time

from aiki_celery import Retry, WorkflowRun, current_step, task, workflow
from tests.harness.effects import await_effect, record_effect
from tests.harness.telling import tell


@task(name="lesson-work")
def work(number: int, seconds: float) -> int:
    tell("work", number=number)
    time.sleep(seconds)
    return number


@task(name="lesson-long-work")
def long_work(seconds: float, until: str) -> str:
    """Takes so long, and until the judge knows of that effect."""
    tell("work", number=0)
    time.sleep(seconds)
    await_effect(until)
    return "done"


@task(name="lesson-deadly")
def deadly(how: str) -> None:
    tell("deadly", how=how)
    if how == "exit":
        os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="lesson-hungry")
def hungry() -> int:
    tell("hungry")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, before[1]))
    try:
        return len(bytearray(8 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@task(name="lesson-charge", retry=Retry.fixed(3, 0.3))
def charge(works_at: int) -> int:
    attempt = current_step().attempt
    tell("charge")
    if attempt < works_at:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@task(name="lesson-notify")
def notify(what: str) -> None:
    tell("notify", what=what)


@workflow(name="lesson-count")
def count(run: WorkflowRun, steps: int, seconds: float) -> list[int]:
    return [work.run(run, number, seconds) for number in range(steps)]


@workflow(name="lesson-take-long")
def take_long(run: WorkflowRun, seconds: float, until: str) -> str:
    return long_work.run(run, seconds, until)


@workflow(name="lesson-poison")
def poison(run: WorkflowRun, how: str) -> str:
    work.run(run, 0, 0.0)
    deadly.run(run, how)
    return "survived"


@workflow(name="lesson-hunger")
def hunger(run: WorkflowRun) -> int:
    return hungry.run(run)


@workflow(name="lesson-pay")
def pay(run: WorkflowRun, works_at: int) -> int:
    try:
        return charge.run(run, works_at)
    except Exception:
        notify.run(run, "the payment failed")
        raise


@workflow(name="lesson-wait")
def wait(run: WorkflowRun, seconds: float) -> str:
    run.sleep(seconds)
    record_effect("woke", run=run.id)
    return "over"


@workflow(name="lesson-give-up")
def give_up(run: WorkflowRun, seconds: float) -> None:
    work.run(run, 0, seconds)
    raise ValueError("given up")
