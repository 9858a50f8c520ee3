"""The Celery app that is measured; the environment says where its journal and its broker are."""

import mmap
import os
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from celery import Celery

from aiki_celery import Aiki, WorkflowRun, event, task, workflow

JOURNAL = os.environ["BENCH_JOURNAL"]

# No broker named: the embedded one, on the journal's SQLite file.
app = Celery("bench", broker=os.environ.get("BENCH_BROKER"))
aiki = Aiki(app, journal=JOURNAL)

# Called when the steps of many_steps_and_waits are behind it; whoever measures sets it.
on_arrival: Callable[[], None] | None = None


# Where this process counts its statements, for whoever measures what it costs to be idle.
if statements := os.environ.get("BENCH_STATEMENTS"):
    counter = mmap.mmap(os.open(statements, os.O_RDWR), 8)

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def count_statement(*_: Any) -> None:
        counter[:] = (int.from_bytes(counter[:], "little") + 1).to_bytes(8, "little")


@task(name="increment")
def increment(value: int) -> int:
    return value + 1


@workflow(name="many-steps")
def many_steps(run: WorkflowRun, steps: int) -> int:
    value = 0
    for _ in range(steps):
        value = increment.run(run, value)
    return value


@workflow(name="many-steps-and-waits")
def many_steps_and_waits(run: WorkflowRun, steps: int, waits: int) -> int:
    value = 0
    for _ in range(steps):
        value = increment.run(run, value)
    if on_arrival:
        on_arrival()
    for number in range(waits):
        run.sleep(0.05, name=f"wait-{number}")
    return value


@workflow(name="fan-out")
def fan_out(run: WorkflowRun, count: int) -> int:
    return sum(run.gather(*[increment.start(run, number) for number in range(count)]))


@workflow(name="one-step")
def one_step(run: WorkflowRun, value: int) -> int:
    return increment.run(run, value)


@workflow(name="nap")
def nap(run: WorkflowRun, seconds: float) -> None:
    run.sleep(seconds)


told = event("told", int)


@workflow(name="listener")
def listener(run: WorkflowRun, count: int) -> int:
    return sum(run.wait_for(told) for _ in range(count))
