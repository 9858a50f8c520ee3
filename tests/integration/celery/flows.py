"""Workflows, steps and plain tasks that say in the effects file what they do, under the key of the test."""

from __future__ import annotations

import os
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

from celery import shared_task, signals
from pydantic import BaseModel

from aiki_celery import Retry, TaskFailed, WorkflowRun, task, workflow
from tests.harness.effects import Effects, record_effect

GATE_PATIENCE = 60.0


class Order(BaseModel):
    id: str
    amount: Decimal
    due: datetime


class Receipt(BaseModel):
    order: Order
    total: Decimal


@task()
def mark(key: str, step: str) -> str:
    record_effect("step", key=key, step=step)
    return step


@task()
def hold(key: str) -> int:
    """Does not end before the test opens the gate of this key."""
    record_effect("step", key=key, step="hold")
    effects, deadline = Effects.from_env(), time.monotonic() + GATE_PATIENCE
    while not effects.count("gate", key=key):
        assert time.monotonic() < deadline, f"nobody opened the gate of {key}"
        time.sleep(0.02)
    record_effect("held", key=key)
    return os.getpid()


@task()
def nap(key: str, number: int, seconds: float) -> int:
    record_effect("step", key=key, step=f"nap {number}")
    time.sleep(seconds)
    return number


@task()
def plus(x: int, y: int) -> int:
    return x + y


@task(retry=Retry.never())
def fail(key: str) -> None:
    record_effect("step", key=key, step="fail")
    raise ValueError(f"no luck with {key}")


@workflow(name="journey")
def journey(run: WorkflowRun, key: str, sleep: float = 0.0) -> list[str]:
    """Three steps: the one in the middle waits for its gate."""
    done = [mark.run(run, key, "first")]
    if sleep:
        run.sleep(sleep)
    hold.run(run, key)
    return [*done, mark.run(run, key, "last")]


@task()
def die(key: str, times: int) -> int:
    """Ends its process the first so many times."""
    record_effect("step", key=key, step="die")
    if (begun := Effects.from_env().count("step", key=key, step="die")) <= times:
        os._exit(70)
    return begun


@workflow(name="deadly")
def deadly(run: WorkflowRun, key: str, times: int) -> list[Any]:
    """Its second step ends its process the first so many times."""
    return [mark.run(run, key, "first"), die.run(run, key, times), mark.run(run, key, "last")]


@workflow(name="naps")
def naps(run: WorkflowRun, key: str, count: int, seconds: float) -> int:
    """Steps of a known length, one after the other."""
    return sum(nap.run(run, key, number, seconds) for number in range(count))


@workflow(name="patient")
def patient(run: WorkflowRun, key: str) -> str:
    """Catches what its held step raises, as code that cleans up would."""
    try:
        hold.run(run, key)
    except TaskFailed as error:
        return mark.run(run, key, f"caught {error.type}")
    return mark.run(run, key, "last")


@workflow(name="add")
def add(run: WorkflowRun, x: int, y: int, sleep: float = 0.0) -> int:
    if sleep:
        run.sleep(sleep)
    return plus.run(run, x, y)


@workflow(name="total")
def total(run: WorkflowRun, numbers: list[int], sleep: float = 0.0) -> int:
    if sleep:
        run.sleep(sleep)
    return plus.run(run, sum(numbers), 0)


@workflow(name="bill")
def bill(run: WorkflowRun, order: Order) -> Receipt:
    return Receipt(order=order, total=order.amount * 2)


@workflow(name="doomed")
def doomed(run: WorkflowRun, key: str, sleep: float = 0.0) -> int:
    if sleep:
        run.sleep(sleep)
    fail.run(run, key)
    return 0


@workflow(name="versioned", version="1.0.0")
def versioned_one(run: WorkflowRun) -> str:
    return f"{run.version} as {run.id}"


@workflow(name="versioned", version="1.10.0")
def versioned_ten(run: WorkflowRun) -> str:
    return f"{run.version} as {run.id}"


@workflow(name="versioned", version="1.9.0")
def versioned_nine(run: WorkflowRun) -> str:
    return f"{run.version} as {run.id}"


@signals.task_revoked.connect
def told_revoked(request: Any, expired: bool, **_: Any) -> None:
    record_effect("revoked", id=request.id, expired=expired)


@workflow(name="sending")
def sending(run: WorkflowRun, key: str) -> list[str]:
    """Waits for a started step, which waits for its gate."""
    hold.start(run, key).result()
    return [mark.run(run, key, "last")]


@shared_task(name="plain.add")
def plain_add(x: int, y: int) -> int:
    return x + y


@shared_task(name="plain.sum")
def plain_sum(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="plain.told")
def plain_told(result: Any, key: str) -> None:
    record_effect("told", key=key, result=result)


@shared_task(name="plain.failed")
def plain_failed(request: Any, error: Any, trace: Any, key: str) -> None:
    record_effect("failed", key=key, error=str(error), id=request.id)


@shared_task(name="plain.raise")
def plain_raise(message: str) -> None:
    raise RuntimeError(message)


@shared_task(name="plain.facts", bind=True)
def plain_facts(self: Any) -> dict[str, Any]:
    return {
        "type": type(self).__mro__[1].__name__,
        "acks_late": bool(self.acks_late),
        "headers": sorted(self.request.headers or {}),
        "queue": self.request.delivery_info["routing_key"],
    }


@shared_task(name="plain.nap")
def plain_nap(key: str, seconds: float) -> None:
    record_effect("plain nap", key=key)
    time.sleep(seconds)
