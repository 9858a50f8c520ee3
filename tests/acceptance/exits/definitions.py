"""Tasks and workflows of the tests of exits."""

from __future__ import annotations

import os
import sys

from celery import shared_task

from aiki_celery import Retry, TaskFailed, WorkflowRun, task, workflow
from tests.harness.telling import tell


class Odd(BaseException):
    """Neither an ``Exception`` nor an exit."""


def first_time(flag: str) -> bool:
    """Whether nobody has been here before."""
    if os.path.exists(flag):
        return False
    open(flag, "w").close()
    return True


@task(name="exits-leave", retry=Retry.fixed(2, 0.1))
def leave(code: int) -> None:
    tell("leave", pid=os.getpid())
    sys.exit(code)


@task(name="exits-interrupt")
def interrupt() -> None:
    raise KeyboardInterrupt


@task(name="exits-leave-once")
def leave_once(flag: str) -> str:
    tell("leave once", pid=os.getpid())
    if first_time(flag):
        sys.exit(3)
    return "stayed"


@task(name="exits-undo")
def undo() -> None:
    tell("undo")


@shared_task(name="exits-plain")
def plain(code: int) -> None:
    sys.exit(code)


@workflow(name="exits-leaving")
def leaving(run: WorkflowRun) -> list[str]:
    """Inline, started, and an existing Celery task."""
    outcomes = []
    for attempt in (
        lambda: leave.run(run, 3),
        lambda: leave.start(run, 4).result(),
        lambda: interrupt.run(run),
        lambda: run.start(plain.s(5)).result(),
    ):
        try:
            attempt()
        except TaskFailed as error:
            outcomes.append(f"{error.attempts} {error.type}: {error.message}")
    return outcomes


@workflow(name="exits-quitting")
def quitting(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(undo)
        sys.exit("enough")


@workflow(name="exits-surviving")
def surviving(run: WorkflowRun, flag: str) -> str:
    return leave_once.run(run, flag)


@workflow(name="exits-odd")
def odd(run: WorkflowRun, flag: str) -> str:
    if first_time(flag):
        raise Odd
    return "found"


@workflow(name="exits-next")
def following(run: WorkflowRun) -> str:
    return "done"
