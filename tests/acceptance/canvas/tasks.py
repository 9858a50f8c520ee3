"""Existing Celery tasks, without a trace of Aiki; named like those of Celery's own integration tests."""

from __future__ import annotations

import time
from typing import Any

from celery import Task, chain, group, shared_task
from celery.exceptions import SoftTimeLimitExceeded

from tests.harness.effects import record_effect


class ExpectedError(Exception):
    """What a task fails with on purpose."""


@shared_task(name="canvas-add")
def add(x: float, y: float, z: float = 0) -> float:
    return x + y + z if z else x + y


@shared_task(name="canvas-mul")
def mul(x: float, y: float) -> float:
    return x * y


@shared_task(name="canvas-identity")
def identity(x: Any) -> Any:
    return x


@shared_task(name="canvas-tsum")
def tsum(numbers: list[float]) -> float:
    return sum(numbers)


@shared_task(name="canvas-xsum")
def xsum(numbers: list[Any]) -> float:
    return sum(sum(one) if isinstance(one, list) else one for one in numbers)


@shared_task(name="canvas-slow-identity")
def slow_identity(x: Any, seconds: float) -> Any:
    time.sleep(seconds)
    return x


@shared_task(name="canvas-note")
def note(*args: Any, where: str, message: str = "") -> Any:
    """Tells the judge that it was run, and passes on what it got."""
    record_effect("note", where=where, message=message or repr(args))
    return args[0] if args else message


@shared_task(name="canvas-fail")
def fail(*args: Any) -> None:
    raise ExpectedError("Task expected to fail", *args)


@shared_task(name="canvas-flaky", bind=True, max_retries=3)
def flaky(self: Any, x: Any, fails: int = 1) -> Any:
    if self.request.retries < fails:
        raise self.retry(exc=ExpectedError("try again"), countdown=0.05)
    return x


@shared_task(name="canvas-errback")
def errback(request: Any, error: Exception, traceback: Any, *, where: str) -> None:
    """An error callback of the kind that is called in the worker of the failed task."""
    record_effect("note", where=where, message=f"errback {type(error).__name__}")


@shared_task(name="canvas-old-errback")
def old_errback(task_id: str, *, where: str) -> None:
    """An error callback of the kind that is sent as a task, with the failed one's id."""
    record_effect("note", where=where, message="old errback")


@shared_task(name="canvas-return-headers", bind=True)
def where_am_i(self: Any, *args: Any) -> Any:
    delivered = self.request.delivery_info or {"routing_key": "called directly"}
    return {"queue": delivered["routing_key"], "retries": self.request.retries}


@shared_task(name="canvas-add-replaced", bind=True)
def add_replaced(self: Any, x: float, y: float) -> Any:
    return self.replace(add.s(x, y))


@shared_task(name="canvas-replace-with-chain", bind=True)
def replace_with_chain(self: Any, *args: Any, where: str = "", message: str = "") -> Any:
    links = chain(identity.s(*args), identity.s())
    if where:
        links.link(note.si(where=where, message=message))
    return self.replace(links)


@shared_task(name="canvas-replace-with-failing-chain", bind=True)
def replace_with_failing_chain(self: Any, *args: Any, where: str = "", message: str = "") -> Any:
    links = chain(identity.s(*args), fail.s())
    if where:
        links.link_error(note.si(where=where, message=message))
    return self.replace(links)


@shared_task(name="canvas-replace-with-empty-chain", bind=True)
def replace_with_empty_chain(self: Any, *args: Any) -> Any:
    return self.replace(chain())


@shared_task(name="canvas-replace-with-group-in-chain", bind=True)
def replace_with_group_in_chain(self: Any) -> Any:
    return self.replace(chain(add.s(1, 2), group(add.s(1), add.s(1))))


@shared_task(name="canvas-add-to-all", bind=True)
def add_to_all(self: Any, numbers: list[float], value: float) -> Any:
    return self.replace(group(*[add.s(number, value) for number in numbers]))


@shared_task(name="canvas-fail-replaced", bind=True)
def fail_replaced(self: Any, *args: Any) -> Any:
    return self.replace(fail.si(*args))


@shared_task(name="canvas-replaced-twice", bind=True)
def replaced_twice(self: Any, where: str, state: int = 0) -> Any:
    record_effect("note", where=where, message=f"a{state}")
    if state < 2:
        return self.replace(
            chain(note.si(where=where, message=f"b{state}"), replaced_twice.si(where, state + 1))
        )
    return state


@shared_task(name="canvas-own-priority", bind=True)
def own_priority(self: Any) -> Any:
    return self.request.delivery_info["priority"]


@shared_task(name="canvas-own-stamps", bind=True)
def own_stamps(self: Any) -> Any:
    return {name: self.request.stamps[name] for name in self.request.stamped_headers or ()}


@shared_task(name="canvas-retried-note", bind=True, max_retries=2)
def retried_note(self: Any, where: str) -> None:
    if self.request.retries < 1:
        raise self.retry(countdown=0.05)
    record_effect("note", where=where, message="after a retry")


@shared_task(name="canvas-slow-sum-with-guard")
def slow_sum_with_guard(numbers: list[float], seconds: float) -> float:
    try:
        time.sleep(seconds)
        return sum(numbers)
    except SoftTimeLimitExceeded:
        return 0


class StampedReplacements(Task):
    """Stamps what replaces it, by the hook that Celery has for that."""

    def on_replace(self, sig: Any) -> Any:
        sig.stamp(size="small")
        return super().on_replace(sig)


@shared_task(name="canvas-replaced-with-stamps", bind=True, base=StampedReplacements)
def replaced_with_stamps(self: Any) -> Any:
    return self.replace(own_stamps.si())
