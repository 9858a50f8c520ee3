"""The event loop of async tasks: kept while it serves, given up when a step has left it unusable."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiki_celery.engine.async_tasks import calls as module
from aiki_celery.engine.async_tasks.call import LoopLost, TimeIsUp
from aiki_celery.engine.async_tasks.calls import AsyncCalls, Watch
from aiki_celery.errors import ClaimLost, RunError
from tests.harness.eventually import eventually

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


class Rude(BaseException):
    """What an `except Exception` does not see."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncCalls]:
    """A process's calls, quick to give up; no thread of theirs outlives the test."""
    monkeypatch.setattr(module, "CANCEL_GRACE", 0.2)
    monkeypatch.setattr(module, "BEGIN_WITHIN", 0.2)
    before = threading.active_count()
    calls = AsyncCalls()
    yield calls
    calls.close()
    atexit.unregister(calls.close)
    eventually(lambda: threading.active_count() <= before, 5, "the loops' threads to end")


def loop_of(calls: AsyncCalls) -> int:
    """Which loop a call is run on now."""

    async def ask() -> int:
        return id(asyncio.get_running_loop())

    return int(calls.run(ask(), "ask"))


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Does it in a thread; gives what waits for its result, or for what it raised."""
    outcome: list[Any] = []

    def note() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=note)
    thread.start()

    def wait() -> Any:
        thread.join(10)
        return outcome[0]

    return wait


async def blocking(freed: threading.Event, begun: threading.Event | None = None) -> None:
    if begun is not None:
        begun.set()
    freed.wait(10)


async def deaf(calls: int = 10**9) -> None:
    for _ in range(calls):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            continue


def test_call_gives_what_the_coroutine_gives(calls: AsyncCalls) -> None:
    """A result, or the very exception; in the caller's context."""
    error = ValueError("no")

    async def good() -> str:
        await asyncio.sleep(0)
        return colour.get()

    async def bad() -> None:
        raise error

    colour.set("blue")
    assert "blue" == calls.run(good(), "good")
    with pytest.raises(ValueError, match="no") as caught:
        calls.run(bad(), "bad")
    assert error is caught.value


def test_loop_is_kept_from_call_to_call(calls: AsyncCalls) -> None:
    """So that connections made on it can be used again."""
    assert loop_of(calls) == loop_of(calls)


def test_calls_of_several_threads_share_the_loop(calls: AsyncCalls) -> None:
    """Two that can only end together do."""
    met: list[asyncio.Event] = []

    async def meet() -> int:
        met.append(asyncio.Event())
        if len(met) == 2:
            for event in met:
                event.set()
        await asyncio.wait_for(met[0].wait(), 5)
        return len(met)

    first, second = (in_background(lambda: calls.run(meet(), "meet")) for _ in range(2))
    assert (2, 2) == (first(), second())


def test_call_that_takes_too_long_is_cancelled(calls: AsyncCalls) -> None:
    """Its clean-up runs; the loop stays."""
    loop, seen = loop_of(calls), []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("cleaned up")

    with pytest.raises(TimeIsUp):
        calls.run(slow(), "slow", 0.05)
    assert (["cleaned up"], loop) == (seen, loop_of(calls))


def test_value_made_of_a_cancellation_counts(calls: AsyncCalls) -> None:
    """As in `asyncio.wait_for`: what is done is done."""

    async def hurried() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "half"
        return "all"

    assert "half" == calls.run(hurried(), "hurried", 0.05)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), r"'rude' ended with SystemExit\(3\)"),
        (KeyboardInterrupt(), r"'rude' ended with KeyboardInterrupt\(\)"),
        (Rude("x"), r"'rude' ended with Rude\('x'\)"),
        (asyncio.CancelledError(), "'rude' was cancelled by its own code"),
    ],
)
def test_what_would_end_a_process_is_the_step_s_failure_alone(
    calls: AsyncCalls, error: BaseException, said: str
) -> None:
    """The loop goes on, and so does the thread that waits."""

    async def rude() -> None:
        raise error

    loop = loop_of(calls)
    with pytest.raises(RuntimeError, match=said) as caught:
        calls.run(rude(), "rude")
    assert (error, loop) == (caught.value.__cause__, loop_of(calls))


def test_control_flow_passes_through(calls: AsyncCalls) -> None:
    """`heartbeat()` ends the pass from inside a coroutine too."""

    async def lost() -> None:
        raise ClaimLost("taken over")

    with pytest.raises(ClaimLost, match="taken over"):
        calls.run(lost(), "lost")


def test_deaf_coroutine_is_given_up_with_its_loop(
    calls: AsyncCalls, caplog: pytest.LogCaptureFixture
) -> None:
    """Others on that loop finish there; what comes next has a new one."""
    loop = loop_of(calls)
    other = in_background(lambda: calls.run(asyncio.sleep(0.6, "other"), "other"))
    with caplog.at_level(logging.ERROR, "aiki_celery.step"), pytest.raises(TimeIsUp):
        calls.run(deaf(), "deaf", 0.05)
    assert "deaf ignores that it was cancelled" in caplog.text
    assert loop != loop_of(calls)
    assert "other" == other()


def test_blocked_loop_is_given_up_with_all_that_is_on_it(calls: AsyncCalls) -> None:
    """Those who wait for it are told; what comes next has a new one. Once it is free again, it ends."""
    freed, cancelled = threading.Event(), []

    async def other() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            cancelled.append("other")

    loop = loop_of(calls)
    waiting = in_background(lambda: calls.run(other(), "other"))
    eventually(lambda: len(calls._home._calls) == 1 if calls._home else False, 5, "the other to begin")
    with pytest.raises(TimeIsUp):
        calls.run(blocking(freed), "blocking", 0.05)
    assert isinstance(waiting(), LoopLost)
    assert loop != loop_of(calls)
    freed.set()
    eventually(lambda: ["other"] == cancelled, 5, "the old loop to end")


def test_next_call_does_not_wait_for_a_blocked_loop(
    calls: AsyncCalls, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the blocking one has no time limit: it goes on alone."""
    freed, begun = threading.Event(), threading.Event()
    waiting = in_background(lambda: calls.run(blocking(freed, begun), "blocking"))
    assert begun.wait(5), "it did not begin"
    with caplog.at_level(logging.ERROR, "aiki_celery.step"):
        assert "done" == calls.run(asyncio.sleep(0, "done"), "next")
    assert "has not answered for 0.2 s" in caplog.text
    freed.set()
    assert waiting() is None


def test_leftover_tasks_are_cancelled(calls: AsyncCalls, caplog: pytest.LogCaptureFixture) -> None:
    """Those that the step made; one made in a context of its own belongs to nobody, and stays."""
    kept: list[asyncio.Task[None]] = []

    async def messy() -> None:
        asyncio.create_task(asyncio.sleep(30), name="mess")  # noqa: RUF006
        kept.append(contextvars.Context().run(asyncio.create_task, asyncio.sleep(30)))
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "aiki_celery.step"):
        calls.run(messy(), "messy")
    assert "Step messy is over and has left 1 task(s) running; cancelled: mess" in caplog.text
    assert not kept[0].done()


def test_stopped_loop_goes_on(calls: AsyncCalls, caplog: pytest.LogCaptureFixture) -> None:
    """The step that stopped it, and the next one, notice nothing."""

    async def stop() -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return "stopped"

    async def exit_in_background() -> str:
        async def leave() -> None:
            raise SystemExit(4)

        leaving = asyncio.create_task(leave())
        await asyncio.wait([leaving])
        leaving.exception()
        return "left"

    loop = loop_of(calls)
    with caplog.at_level(logging.WARNING, "aiki_celery.step"):
        assert "stopped" == calls.run(stop(), "stop")
        assert "left" == calls.run(exit_in_background(), "exit")
    assert "has stopped the event loop" in caplog.text
    assert "raised SystemExit(4); the loop goes on" in caplog.text
    assert loop == loop_of(calls)


def test_dead_loop_is_replaced(calls: AsyncCalls) -> None:
    """Who waits for it is told."""

    async def sabotage() -> None:
        asyncio.get_running_loop()._run_once = None  # type: ignore[attr-defined]
        await asyncio.sleep(10)

    loop = loop_of(calls)
    with pytest.raises(LoopLost):
        calls.run(sabotage(), "sabotage")
    assert loop != loop_of(calls)


def test_call_that_comes_as_the_loop_ends_is_begun_by_the_next_one(
    calls: AsyncCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that another thread has given up begins nothing that it could not finish."""

    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    loop_of(calls)
    home = calls._loop()
    submit = home.submit

    def submit_late(call: Any) -> None:
        def end_and_submit() -> None:
            home.retire()
            home._leave_if_idle()
            submit(call)

        home._loop.call_soon_threadsafe(end_and_submit)

    monkeypatch.setattr(home, "submit", submit_late)
    assert "done" == calls.run(slow(), "slow")


def test_interrupted_wait_cancels_the_coroutine(calls: AsyncCalls) -> None:
    """As Celery's soft time limit does it, from a signal."""
    seen = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("cleaned up")

    def interrupt(*_: object) -> None:
        raise InterruptedError("time limit")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(InterruptedError, match="time limit"):
            calls.run(slow(), "slow")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ["cleaned up"] == seen


def test_watch_looks_for_the_first_time_after_one_interval(calls: AsyncCalls) -> None:
    """Waiting for the beginning is part of it: who looks for a cancel does not look twice as late as was said."""
    waits: list[float | None] = []

    class Seen(Exception):
        pass

    def look() -> None:
        raise Seen

    call_wait = module._left

    def noted(until: float | None, most: float | None = None) -> float | None:
        waits.append(most)
        return call_wait(until, most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_left", noted)
        with pytest.raises(Seen):
            calls.run(asyncio.sleep(30), "slow", None, Watch(look, 0.15))
    assert [0.15] == waits


def test_loop_does_not_wait_for_itself(calls: AsyncCalls) -> None:
    """A blocking call from a coroutine would hang; the error says what to do."""

    async def outer() -> None:
        calls.run(asyncio.sleep(0), "inner")

    with pytest.raises(RunError, match=r"'inner' was run by code on the event loop.*asyncio\.to_thread"):
        calls.run(outer(), "outer")


def test_forked_child_makes_its_own_loop(calls: AsyncCalls) -> None:
    """The parent's goes on."""
    loop = loop_of(calls)
    pid = os.fork()
    if pid == 0:
        try:
            code = 0 if calls.run(asyncio.sleep(0.01, "child"), "child", 5) == "child" else 1
        except BaseException:
            code = 2
        os._exit(code)
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (pid, 0) == ended
    assert loop == loop_of(calls)
