"""Async tasks in the caller's own process, also where that runs an event loop itself: notebooks, async views, tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aiki_celery import OutcomeUnknown, Retry, TaskFailed, WorkflowRun, current_step, task, workflow
from aiki_celery.engine.async_tasks import calls as async_calls
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment

began: list[str] = []
freed = threading.Event()


@task(name="here-fetch", retry=Retry.fixed(2, 0.01))
async def fetch(url: str) -> dict[str, Any]:
    await asyncio.sleep(0.001)
    if current_step().attempt == 1:
        raise ConnectionError(url)
    return {"url": url, "key": current_step().idempotency_key}


@task(name="here-blocking", timeout=0.3)
async def blocking() -> None:
    began.append("blocking")
    freed.wait(20)


@task(name="here-patient")
async def patient(name: str) -> str:
    began.append(name)
    while not freed.is_set():
        await asyncio.sleep(0.01)
    return name


@task(name="here-wire", at_most_once=True)
async def wire(name: str) -> str:
    return await patient(name)


@task(name="here-nested")
async def nested() -> Any:
    return fetching.apply(("nested",)).get()


@workflow(name="here-fetching")
def fetching(run: WorkflowRun, url: str) -> list[str]:
    inline = fetch.run(run, url)
    started = fetch.start(run, url).result()
    assert inline["key"] != started["key"]
    return [inline["url"], started["url"]]


@workflow(name="here-blocked")
def blocked(run: WorkflowRun) -> str:
    return str(run.gather(blocking.start(run), return_exceptions=True)[0])


@workflow(name="here-patient-workflow")
def patiently(run: WorkflowRun) -> str:
    return patient.run(run, "patient")


@workflow(name="here-wiring")
def wiring(run: WorkflowRun) -> str:
    try:
        return wire.run(run, "wire")
    except OutcomeUnknown as error:
        return f"unknown: {error.task}"


@workflow(name="here-nesting")
def nesting(run: WorkflowRun) -> Any:
    return nested.run(run)


def test_apply_awaits_steps(embedded: Deployment) -> None:
    """Retried like any; the key of each is its own."""
    assert ["u", "u"] == fetching.apply(("u",)).get()


def test_apply_works_inside_a_running_loop(embedded: Deployment) -> None:
    """As in a notebook's cell."""

    async def cell() -> list[str]:
        result: list[str] = fetching.apply(("u",)).get()
        return result

    assert ["u", "u"] == asyncio.run(cell())


def test_eager_starts_can_be_awaited(embedded: Deployment) -> None:
    """As in the test suite of an async application."""
    embedded.client.conf.task_always_eager = True

    async def view() -> list[list[str]]:
        handles = await asyncio.gather(*[fetching.aenqueue(name) for name in "abc"])
        return [await handle.aget(timeout=5) for handle in handles]

    assert [["a", "a"], ["b", "b"], ["c", "c"]] == asyncio.run(view())


def test_blocking_call_from_a_coroutine_is_refused(embedded: Deployment) -> None:
    """It would wait for itself."""
    with pytest.raises(TaskFailed, match=r"was run by code on the event loop.*asyncio\.to_thread"):
        nesting.apply().get()


def test_neighbours_of_a_hang_begin_anew_or_are_unknown(
    embedded: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash: what may be done again is; of what may not, the outcome is unknown."""
    monkeypatch.setattr(async_calls, "CANCEL_GRACE", 0.2)
    outcomes: dict[str, Any] = {}

    def do(name: str, run: Callable[[], Any]) -> threading.Thread:
        def note() -> None:
            with embedded.aiki:
                outcomes[name] = run().get()

        thread = threading.Thread(target=note)
        thread.start()
        return thread

    threads = [do("patient", patiently.apply), do("wire", wiring.apply)]
    eventually(lambda: {"patient", "wire"} <= set(began), 10, "both to begin")
    threads.append(do("blocking", blocked.apply))
    eventually(lambda: began.count("patient") == 2, 10, "the patient one to begin anew")
    freed.set()
    for thread in threads:
        thread.join(10)
    assert {
        "patient": "patient",
        "wire": "unknown: here-wire",
        "blocking": "here-blocking failed after 1 attempt: StepTimeout: here-blocking took longer than its timeout "
        "of 0.3 s.",
    } == outcomes
    assert ["blocking", "patient", "patient", "wire"] == sorted(began)
