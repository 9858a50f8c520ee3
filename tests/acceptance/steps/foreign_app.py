"""Another service: plain Celery, without aiki_celery."""

from __future__ import annotations

from typing import Any

from celery import Celery

from tests.harness.effects import record_effect

app = Celery("foreign")


@app.task(name="foreign-charge")
def charge(order: str, amount: int) -> dict[str, Any]:
    record_effect("charge", order=order)
    return {"order": order, "charged": amount}


@app.task(name="foreign-decline")
def decline() -> None:
    record_effect("decline")
    raise ValueError("no money")


@app.task(name="foreign-flaky", autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0})
def flaky(works_at: int) -> int:
    from celery import current_task

    attempt = int(current_task.request.retries) + 1
    record_effect("foreign flaky", attempt=attempt)
    if attempt < works_at:
        raise OSError("not yet")
    return attempt


@app.task(name="foreign-no-json")
def no_json() -> Any:
    return {object()}


@app.task(name="adopted-add")
def add(x: int, y: int = 0) -> int:
    """A task that both have: the application's own workers may be old ones."""
    record_effect("add", x=x, y=y)
    return x + y
