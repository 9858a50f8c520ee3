"""Producers on an event loop: fifty requests at once to a web application, each a run that is awaited."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from fastapi import FastAPI

from aiki_celery import InputInvalid, RunFinished, RunStatus, WorkflowCancelled
from aiki_celery.definitions.in_thread import THREADS
from tests.acceptance.async_tasks.conftest import APP
from tests.acceptance.async_tasks.definitions import approved, approving, greeting
from tests.acceptance.conftest import Lab


def web_application() -> FastAPI:
    """As users write one."""
    web = FastAPI()

    @web.post("/greetings/{number}")
    async def start(number: int) -> dict[str, str]:
        handle = await greeting.options(reference_id=f"greeting-{number}").aenqueue(number)
        return {"run": handle.id}

    @web.get("/greetings/{run}")
    async def result(run: str) -> dict[str, str]:
        return {"text": await greeting.handle(run).aget(timeout=30)}

    return web


async def ask_all(count: int) -> tuple[list[str], int]:
    """Posts and gets all at once; gives the texts, and how many threads there were."""
    transport = httpx.ASGITransport(app=web_application())
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        posted = await asyncio.gather(*[client.post(f"/greetings/{number}") for number in range(count)])
        got = await asyncio.gather(*[client.get(f"/greetings/{answer.json()['run']}") for answer in posted])
        threads = sum(thread.name.startswith("aiki-async") for thread in threading.enumerate())
    return [answer.json()["text"] for answer in got], threads


@pytest.mark.parametrize("where", ["embedded_lab", "lab"])
def test_fifty_requests_are_served_at_once(where: str, request: pytest.FixtureRequest) -> None:
    """From a few threads."""
    lab: Lab = request.getfixturevalue(where)
    lab.start_worker(APP)

    texts, threads = asyncio.run(ask_all(50))

    assert [f"hello {number}" for number in range(50)] == texts
    assert 1 <= threads <= THREADS


def test_handles_are_awaited(embedded_lab: Lab) -> None:
    """Each verb does what its twin does."""

    async def use() -> None:
        handle, *others = await greeting.aenqueue_many([(1,), (2,)])
        assert RunStatus.QUEUED is await handle.astatus()
        with pytest.raises(TimeoutError, match=r"is queued after 0\.05 s"):
            await handle.aget(timeout=0.05)
        embedded_lab.start_worker(APP)
        assert ["hello 1", "hello 2"] == [await one.aget(timeout=20) for one in (handle, *others)]
        assert handle.history() == await handle.ahistory()
        assert handle.refresh() == await handle.arefresh()
        with pytest.raises(InputInvalid, match="number"):
            await greeting.aenqueue("one")  # type: ignore[arg-type]

    asyncio.run(use())


def test_runs_are_controlled_and_sent_to(embedded_lab: Lab) -> None:
    """From async code too."""
    embedded_lab.start_worker(APP)

    async def use() -> tuple[str, str]:
        one, other = await approving.aenqueue_many([(), ()])
        assert (True, True) == (await one.apause(), await one.aresume())
        assert (True, False) == (
            await one.asend(approved, "yes", id="1"),
            await one.asend(approved, "no", id="1"),
        )
        assert await other.acancel("no need")
        with pytest.raises(WorkflowCancelled, match="no need"):
            await other.aget(timeout=20)
        with pytest.raises(RunFinished):
            await other.asend(approved, "late")
        answer = await one.aget(timeout=20)
        return answer, await (await one.afork()).aget(timeout=20)

    assert ("yes", "yes") == asyncio.run(use())


def test_cancelled_wait_leaves_the_run_alone(embedded_lab: Lab) -> None:
    """Who stops waiting holds no thread, and changes nothing."""

    async def stop_waiting() -> str:
        handle = await greeting.aenqueue(3)
        waiting = asyncio.create_task(handle.aget())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return handle.id

    run_id = asyncio.run(stop_waiting())
    embedded_lab.start_worker(APP)
    assert "hello 3" == greeting.handle(run_id).get(timeout=20)
