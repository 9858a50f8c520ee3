"""What is known of `async def` tasks, and of the verbs for async code."""

from __future__ import annotations

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

from typing_extensions import assert_type

from aiki_celery import (
    AsyncTask,
    Progress,
    RunStatus,
    SendOutcome,
    StepFuture,
    Task,
    WorkflowHandle,
    WorkflowRun,
    event,
    task,
)
from tests.typing.definitions import Payment, Receipt, nothing, order

paid = event("typing-paid-async", Payment)


@task
async def fetch(url: str) -> Payment:
    """A task without parentheses."""
    return Payment(url)


@task(name="typing-store", timeout=5)
async def store(url: str, *, times: int = 1) -> None:
    """A task with options."""


def takes_definitions(one: AsyncTask[[str], Payment], other: Task[[str], Payment]) -> None:
    """An async task can be used wherever a task can."""


takes_definitions(fetch, fetch)
takes_definitions(store, store)  # type: ignore[arg-type]


def steps(run: WorkflowRun) -> None:
    """A workflow gets the awaited result, and awaits nothing."""
    assert_type(fetch.run(run, "u"), Payment)
    assert_type(fetch.start(run, "u"), StepFuture[Payment])
    assert_type(fetch.start(run, "u").result(), Payment)
    assert_type(fetch.options(key="k").run(run, "u"), Payment)
    takes_definitions(fetch.options(timeout=3), fetch.options(key="k"))
    assert_type(run.map(fetch, ["a", "b"]), list[Payment])
    assert_type(run.gather(fetch.start(run, "a"), fetch.start(run, "b")), list[Payment])
    assert_type(store.run(run, "u", times=2), None)
    fetch.run(run, 1)  # type: ignore[arg-type]
    store.start(run, "u", time=2)  # type: ignore[call-arg]


async def plain_calls() -> None:
    """Called, it is the plain function, which gives a coroutine."""
    coroutine: Coroutine[Any, Any, Payment] = fetch("u")
    assert_type(await coroutine, Payment)
    assert_type(await fetch("u"), Payment)
    await fetch(1)  # type: ignore[arg-type]


async def starts() -> None:
    """A start takes what the workflow takes after the run, and gives the same handle."""
    assert_type(await order.aenqueue("o", Decimal(1)), WorkflowHandle[Receipt])
    assert_type(await nothing.aenqueue(), WorkflowHandle[None])
    assert_type(await order.options(reference_id="r").aenqueue("o"), WorkflowHandle[Receipt])
    assert_type(await order.aenqueue_many([("o",)]), list[WorkflowHandle[Receipt]])
    await order.aenqueue(1)  # type: ignore[arg-type]
    await order.aenqueue()  # type: ignore[call-arg]
    await order.aenqueue("o", amuont=Decimal(1))  # type: ignore[call-arg]


async def handles(handle: WorkflowHandle[Receipt]) -> None:
    """Each verb gives what its twin gives."""
    assert_type(await handle.aget(timeout=3), Receipt)
    assert_type(await handle.astatus(), RunStatus)
    assert_type((await handle.arefresh()).status, RunStatus)
    assert_type(len(await handle.ahistory()), int)
    assert_type(await handle.arequeue(), None)
    assert_type(await handle.aretry(), None)
    assert_type(await handle.afork("pay"), WorkflowHandle[Receipt])
    assert_type(await handle.acancel("why"), bool)
    assert_type(await handle.apause(), bool)
    assert_type(await handle.aresume(), bool)
    assert_type(await handle.awake(), None)
    assert_type(await handle.aprogress(), Progress | None)
    await handle.aget(timeout="soon")  # type: ignore[arg-type]


async def events(handle: WorkflowHandle[Receipt]) -> None:
    """What is sent must be what the event carries."""
    assert_type(await handle.asend(paid, Payment("p"), id="webhook-1"), bool)
    assert_type(await order.asend_many(paid, Payment("p"), reference_ids=["a"]), list[SendOutcome])
    assert_type(await paid.aexchange("token", Payment("p")), str)
    await handle.asend(paid, 3)  # type: ignore[misc]
    await handle.asend(paid, Payment("p"), ident="webhook-1")  # type: ignore[call-arg]
