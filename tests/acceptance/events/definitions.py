"""The events, and the workflows that wait for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from aiki_celery import EventTimeout, WorkflowRun, event, task, workflow
from tests.harness.telling import tell

#: Signs the callbacks of these tests.
SECRET = "a secret of the tests alone"


@dataclass
class Approval:
    """A decision."""

    by: str
    at: datetime


approved = event("approved", Approval)
number = event("number", int)
paid = event("paid", float)


@task(name="events-had")
def had(what: int) -> int:
    tell("had", what=what)
    return what


@task(name="events-slow")
def slow(seconds: float) -> str:
    time.sleep(seconds)
    return "slow"


@workflow(name="events-purchase")
def purchase(run: WorkflowRun, timeout: float | None) -> str:
    try:
        decision = run.wait_for(approved, timeout)
    except EventTimeout:
        return "nobody decided"
    return f"{decision.by} on {decision.at.date()}"


@workflow(name="events-collect")
def collect(run: WorkflowRun, count: int) -> list[int]:
    return [had.run(run, run.wait_for(number)) for _ in range(count)]


@workflow(name="events-race")
def race(run: WorkflowRun, seconds: float) -> str:
    work, payment = slow.start(run, seconds), run.expect(paid, timeout=30)
    return str(run.first(work, payment).result())


@workflow(name="events-parent")
def parent(run: WorkflowRun) -> list[str]:
    return run.gather(*[purchase.options(reference_id=f"p-{n}").start(run, 20) for n in range(3)])


@workflow(name="events-callback")
def with_callback(run: WorkflowRun, seconds: float) -> float:
    token = run.callback(paid, expires_in=seconds)
    tell_token.run(run, token)
    return run.wait_for(paid, timeout=20)


@task(name="events-token")
def tell_token(token: str) -> None:
    tell("token", token=token)
