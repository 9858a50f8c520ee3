"""Existing Celery tasks, as any application may have them, and workflows that start them."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime, timezone
from typing import Any

from celery import Celery, shared_task
from celery.exceptions import Ignore, Reject
from kombu.serialization import register

from aiki_celery import Retry, StepCancelled, TaskFailed, WorkflowRun, workflow
from tests.harness.effects import Effects, await_effect, record_effect

#: Makes signatures by name, as a service does that has not got the code.
by_name = Celery("elsewhere", set_as_current=False)


@shared_task(name="adopted-add")
def add(x: int, y: int = 0) -> int:
    record_effect("add", x=x, y=y)
    return x + y


@shared_task(name="adopted-note")
def note(value: Any) -> None:
    record_effect("note", value=value)


register("own-json", json.dumps, json.loads, "application/x-own-json", "utf-8")


@shared_task(name="adopted-routed", serializer="own-json", time_limit=77)
def routed(to: str) -> None:
    record_effect("routed", to=to)


@shared_task(
    name="adopted-flaky", autoretry_for=(ConnectionError,), retry_kwargs={"max_retries": 2, "countdown": 0}
)
def flaky(works_at: int) -> int:
    from celery import current_task

    attempt = current_task.request.retries + 1
    record_effect("flaky", attempt=attempt)
    if attempt < works_at:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@shared_task(bind=True, name="adopted-patient", max_retries=3)
def patient(self: Any, countdown: float) -> int:
    record_effect("patient", attempt=self.request.retries + 1)
    if self.request.retries < 1:
        raise self.retry(countdown=countdown)
    return int(self.request.retries)


@shared_task(name="adopted-awkward")
def awkward(how: str) -> Any:
    record_effect("awkward", how=how)
    if how == "no json":
        return {"at": [datetime(2024, 1, 1, tzinfo=timezone.utc)]}
    if how == "too large":
        return "x" * 2_000_000
    if how == "ignore":
        raise Ignore
    if how == "reject":
        raise Reject("no such customer", requeue=False)
    raise LookupError(f"no {how}")


@shared_task(name="adopted-unsendable", serializer="no-such")
def unsendable() -> None:
    record_effect("unsendable")


@shared_task(bind=True, name="adopted-replaced")
def replaced(self: Any, number: int) -> Any:
    record_effect("replaced")
    return self.replace(add.s(number, 100))


@shared_task(name="adopted-slow")
def slow(seconds: float) -> str:
    record_effect("slow began", pid=os.getpid())
    time.sleep(seconds)
    record_effect("slow")
    return "slept"


@shared_task(name="adopted-limited", time_limit=2)
def limited(seconds: float) -> str:
    record_effect("limited")
    time.sleep(seconds)
    return "in time"


@shared_task(name="adopted-deadly")
def deadly(flag: str) -> str:
    record_effect("deadly")
    if not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@shared_task(name="adopted-deadly-late", acks_late=True, reject_on_worker_lost=True)
def deadly_late(flag: str) -> str:
    return deadly(flag)


@shared_task(name="adopted-tardy")
def tardy(dies: bool) -> str:
    """Is under way until the test says so; then it dies, if it is to, the first time."""
    record_effect("tardy")
    await_effect("go on")
    if dies and Effects.from_env().count("tardy") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@workflow(name="adopted-adding")
def adding(run: WorkflowRun, count: int) -> list[int]:
    record_effect("pass")
    return run.gather(*[run.start(add.s(number, y=1)) for number in range(count)])


@workflow(name="adopted-calling", retry=Retry.fixed(3, 0.1, give_up_on=[TaskFailed]))
def calling(run: WorkflowRun, task: str, args: list[Any], options: dict[str, Any] | None = None) -> Any:
    """Start any task by its name and tell what came of it."""
    future = run.start(by_name.signature(task, args=args, options=options or {}))
    record_effect("started", child=future.id)
    try:
        return future.result()
    except TaskFailed as error:
        return {"failed": error.type, "message": error.message, "attempts": error.attempts}
    except StepCancelled:
        return {"cancelled": task}


@workflow(name="adopted-twice")
def twice(run: WorkflowRun) -> list[int]:
    """The same call twice is two steps; the first of several can be asked for."""
    one, two = run.start(add.s(1)), run.start(add.s(1))
    winner = run.first(one, two)
    return [one.result(), two.result(), winner.result()]


@workflow(name="adopted-mixed")
def mixed(run: WorkflowRun) -> list[Any]:
    """Started together: one that cannot be sent, between others."""
    futures = [run.start(add.s(1)), run.start(unsendable.s()), run.start(add.s(2))]
    return [str(one) for one in run.gather(*futures, return_exceptions=True)]


@workflow(name="adopted-linked")
def linked(run: WorkflowRun) -> int:
    return run.start(add.s(2, 3).set(link=note.s(), link_error=note.s())).result()
