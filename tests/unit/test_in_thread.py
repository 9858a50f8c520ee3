"""Blocking calls from async code: off the loop, in a few threads, in the caller's context."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time

import pytest

from aiki_celery.definitions.in_thread import THREADS, in_thread
from aiki_celery.definitions.patience import Patience
from aiki_celery.model.records import RunView
from aiki_celery.model.status import RunStatus

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def test_call_does_not_hold_up_the_loop() -> None:
    """It waits for what only the loop can do."""

    async def use() -> bool:
        event = threading.Event()
        waiting = asyncio.create_task(in_thread(event.wait, 10))
        await asyncio.sleep(0.01)
        event.set()
        return await waiting

    assert asyncio.run(use())


def test_call_sees_the_callers_context() -> None:
    """And what it sets there stays there."""

    async def use() -> tuple[str, str]:
        colour.set("blue")
        seen = await in_thread(colour.get)
        await in_thread(colour.set, "red")
        return seen, colour.get()

    assert ("blue", "blue") == asyncio.run(use())


def test_calls_are_made_a_few_at_a_time() -> None:
    """The others wait for a thread; all are made, in their order."""
    barrier, made = threading.Barrier(THREADS), []

    def call(number: int) -> int:
        made.append(number)
        barrier.wait(10)  # broken if there were fewer, or more, at once
        return number

    async def use() -> list[int]:
        return await asyncio.gather(*[in_thread(call, number) for number in range(3 * THREADS)])

    assert list(range(3 * THREADS)) == asyncio.run(use())
    assert list(range(3 * THREADS)) == sorted(made)


def test_cancelled_call_that_has_not_begun_is_not_made() -> None:
    """One that has begun goes on to its end."""
    free, made = threading.Event(), []

    def call(number: int) -> None:
        free.wait(10)
        made.append(number)

    async def use() -> None:
        busy = [asyncio.create_task(in_thread(call, number)) for number in range(THREADS)]
        waiting = asyncio.create_task(in_thread(call, -1))
        await asyncio.sleep(0.05)
        waiting.cancel()
        busy[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        free.set()
        await asyncio.gather(*busy[1:])
        await in_thread(int)

    asyncio.run(use())
    assert set(range(1, THREADS)) <= set(made) <= set(range(THREADS))


def test_errors_come_through() -> None:
    """As they are."""

    async def use() -> None:
        await in_thread(int, "three")

    with pytest.raises(ValueError, match="three"):
        asyncio.run(use())


def test_a_forked_child_has_threads_of_its_own() -> None:
    """The parent's are not there."""

    async def use() -> int:
        return await asyncio.wait_for(in_thread(os.getpid), 5)

    assert os.getpid() == asyncio.run(use())
    pid = os.fork()
    if pid == 0:
        try:
            code = 0 if asyncio.run(use()) == os.getpid() else 1
        except BaseException:
            code = 2
        os._exit(code)
    deadline = time.monotonic() + 15
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (pid, 0) == ended


def test_patience_grows_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a tenth of what was waited so far, between 2 and 250 ms, and none beyond the timeout."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = RunView.__new__(RunView)
    for name, value in {"id": "r", "workflow": "w", "status": RunStatus.QUEUED, "reason": "why"}.items():
        object.__setattr__(run, name, value)
    patience, pauses = Patience(10), []
    for waited in (0, 1, 2, 9, 9.9):
        now[0] = 100.0 + waited
        pauses.append(round(patience.pause(run), 3))
    assert [0.002, 0.1, 0.2, 0.25, 0.1] == pauses
    now[0] = 110.0
    with pytest.raises(TimeoutError, match=r"run r of w is queued \(why\) after 10 s"):
        patience.pause(run)
