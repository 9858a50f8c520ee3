"""Tasks and workflows of the tests of async tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from weakref import WeakKeyDictionary

from aiki_celery import Retry, RunCancelled, TaskFailed, WorkflowRun, current_step, event, task, workflow
from tests.harness.telling import tell


class Client:
    """A client as of a library: it keeps its connections, which belong to the loop it was made on."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def echo(self, port: int, line: str) -> str:
        async with self._lock:
            if port not in self._streams:
                self._streams[port] = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = self._streams[port]
            writer.write(f"{line}\n".encode())
            await writer.drain()
            return (await reader.readline()).decode().strip()


clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()


def client() -> Client:
    """The client of this loop, kept between steps."""
    return clients.setdefault(asyncio.get_running_loop(), Client())


@task(name="async-fetch")
async def fetch(port: int, number: int) -> int:
    tell("fetch", number=number)
    return int(await client().echo(port, str(number)))


@task(name="async-slow")
async def slow(number: int, seconds: float) -> int:
    tell("slow began", number=number)
    await asyncio.sleep(seconds)
    tell("slow", number=number)
    return number


@task(name="async-flaky", retry=Retry.fixed(3, 0.1))
async def flaky(works_at: int) -> int:
    step = current_step()
    tell("flaky", details=step.details)
    await asyncio.to_thread(step.heartbeat, {"attempt": step.attempt})
    if step.attempt < works_at:
        raise ConnectionError(f"attempt {step.attempt}")
    return step.attempt


@task(name="async-exits")
async def exits(code: int) -> None:
    tell("exits")
    raise SystemExit(code)


@task(name="async-blocking", timeout=0.5, retry=Retry.fixed(2, 0.1))
async def blocking() -> None:
    tell("hang")
    time.sleep(90)


@task(name="async-deaf", timeout=0.5)
async def deaf() -> None:
    tell("hang")
    while True:
        try:
            await asyncio.sleep(90)
        except asyncio.CancelledError:
            continue


@task(name="async-sleepy", timeout=0.5)
async def sleepy() -> None:
    tell("hang")
    try:
        await asyncio.sleep(90)
    finally:
        tell("cleaned up")


@task(name="async-lasting")
async def lasting(where: str) -> None:
    tell("lasting began", where=where)
    try:
        await asyncio.sleep(90)
    finally:
        tell("lasting ended", where=where)


@task(name="async-deadly-once")
async def deadly_once(flag: str) -> str:
    tell("deadly", details=current_step().details)
    current_step().heartbeat({"half": "done"})
    await asyncio.sleep(0)
    if not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@task(name="async-greet")
async def greet(number: int) -> str:
    tell("greet", number=number)
    return f"hello {number}"


approved = event("async-approved", str)

HANGING = {"blocking": blocking, "deaf": deaf, "sleepy": sleepy}


@workflow(name="async-fetching")
def fetching(run: WorkflowRun, port: int, count: int) -> int:
    inline = sum(fetch.run(run, port, number) for number in range(count))
    started = sum(run.gather(*[fetch.start(run, port, number) for number in range(count, 2 * count)]))
    return inline + started


@workflow(name="async-side-by-side")
def side_by_side(run: WorkflowRun, count: int, seconds: float) -> list[int]:
    return run.gather(*[slow.start(run, number, seconds) for number in range(count)])


@workflow(name="async-mishaps")
def mishaps(run: WorkflowRun, port: int) -> list[str]:
    """What goes wrong in one step is over with that step."""
    outcomes = [str(flaky.run(run, 3))]
    for attempt in (exits.run, lambda run, code: exits.start(run, code).result()):
        try:
            attempt(run, 3)
        except TaskFailed as error:
            outcomes.append(f"{error.type}: {error.message}")
        outcomes.append(str(fetch.run(run, port, 7)))
    return outcomes


@workflow(name="async-hanging")
def hanging(run: WorkflowRun, how: str, port: int) -> list[str]:
    try:
        HANGING[how].start(run).result()
        outcome = "in time"
    except TaskFailed as error:
        outcome = str(error)
    return [outcome, str(fetch.start(run, port, 7).result())]


@workflow(name="async-cancelled")
def cancelled(run: WorkflowRun, where: str) -> None:
    try:
        if where == "here":
            lasting.run(run, where)
        else:
            lasting.start(run, where).result()
    except RunCancelled as cancel:
        greet.run(run, len(str(cancel)))
        raise


@workflow(name="async-approving")
def approving(run: WorkflowRun) -> str:
    return run.wait_for(approved)


@workflow(name="async-neighbours")
def neighbours(run: WorkflowRun) -> list[str]:
    """One that blocks the loop, and one that shares it and has begun before."""
    neighbour = slow.start(run, 1, 1.5)
    run.sleep(0.2)
    hang = blocking.options(retry=Retry.never())
    answers = run.gather(hang.start(run), neighbour, return_exceptions=True)
    return [str(answer) for answer in answers]


@workflow(name="async-surviving")
def surviving(run: WorkflowRun, flag: str) -> str:
    return deadly_once.start(run, flag).result()


@workflow(name="async-greeting")
def greeting(run: WorkflowRun, number: int) -> str:
    return greet.run(run, number)


@task(name="async-delegate")
async def delegate(number: int) -> str:
    """Starts a workflow of its own accord, on the worker's loop."""
    handle = await greeting.options(reference_id=current_step().idempotency_key).aenqueue(number)
    return handle.id


@workflow(name="async-delegating")
def delegating(run: WorkflowRun, number: int) -> str:
    return delegate.run(run, number)
