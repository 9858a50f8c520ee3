"""Tasks and workflows of the tests of started steps."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from aiki_celery import Retry, WorkflowRun, current_step, task, workflow
from tests.harness.effects import record_effect
from tests.harness.telling import tell


@task(name="steps-square")
def square(number: int) -> int:
    tell("square", number=number)
    return number * number


@task(name="steps-slow")
def slow(number: int, seconds: float) -> int:
    tell("slow began", number=number)
    time.sleep(seconds)
    tell("slow", number=number)
    return number


@task(name="steps-routed")
def routed(number: int) -> int:
    tell("routed", number=number)
    return number


@task(name="steps-flaky", retry=Retry.fixed(3, 1.5))
def flaky(works_at: int) -> int:
    step = current_step()
    tell("flaky", details=step.details)
    step.heartbeat({"attempt": step.attempt})
    if step.attempt < works_at:
        raise ConnectionError(f"attempt {step.attempt}")
    return step.attempt


@task(name="steps-deadly-once")
def deadly_once(flag: str) -> str:
    tell("deadly", details=current_step().details)
    current_step().heartbeat({"half": "done"})
    if not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@task(name="steps-endless", timeout=1.0, retry=Retry.fixed(2, 0.1))
def endless(seconds: float) -> int:
    tell("endless")
    time.sleep(seconds)
    return 0


@workflow(name="steps-fan-out")
def fan_out(run: WorkflowRun, count: int) -> int:
    record_effect("pass", run=run.id)
    return sum(run.gather(*[square.start(run, number) for number in range(count)]))


@workflow(name="steps-routed-workflow")
def through_routes(run: WorkflowRun) -> list[int]:
    return run.gather(routed.start(run, 1), square.options(queue="third").start(run, 2), square.start(run, 3))


@workflow(name="steps-retrying")
def retrying(run: WorkflowRun, works_at: int) -> Any:
    slow_one = slow.start(run, 7, 1.0)
    answers = run.gather(flaky.start(run, works_at), slow_one, return_exceptions=True)
    return [answer if isinstance(answer, int) else str(answer) for answer in answers]


@workflow(name="steps-deadly-workflow")
def surviving(run: WorkflowRun, flag: str) -> str:
    return deadly_once.start(run, flag).result()


@workflow(name="steps-timing-out")
def timing_out(run: WorkflowRun) -> str:
    [outcome] = run.gather(endless.start(run, 30.0), return_exceptions=True)
    return str(outcome)


@workflow(name="steps-racing")
def racing(run: WorkflowRun) -> list[int]:
    tortoise, hare = slow.start(run, 1, 2.0), slow.start(run, 2, 0.1)
    winner = run.first(tortoise, hare)
    return [winner.result(), tortoise.result()]


@workflow(name="steps-mapping")
def mapping(run: WorkflowRun, count: int, at_once: int, seconds: float) -> list[int]:
    return run.map(slow_of, [[number, seconds] for number in range(count)], max_concurrency=at_once)


@task(name="steps-slow-of")
def slow_of(item: list[float]) -> int:
    return slow(int(item[0]), item[1])
