"""A poller that continues as new, its parent, and one that is forked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from aiki_celery import WorkflowRun, task, workflow
from tests.harness.telling import tell


@task(name="long-poll")
def poll(number: int, folder: str) -> int:
    tell("poll", number=number)
    flag = Path(folder) / f"die at {number}"
    if flag.exists():
        flag.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@workflow(name="long-poller")
def poller(run: WorkflowRun, number: int, until: int, folder: str) -> list[int]:
    run.progress(number, until, f"generation {run.generation}")
    poll.run(run, number, folder)
    if number < until:
        run.continue_as_new(number + 1, until, folder)
    return [number, run.generation]


@workflow(name="long-parent")
def parent(run: WorkflowRun, until: int, folder: str) -> list[list[int]]:
    return run.gather(poller.start(run, 0, until, folder), poller.start(run, until, until, folder))


@task(name="long-break")
def breaking(folder: str) -> str:
    tell("breaking")
    if not (Path(folder) / "mended").exists():
        raise ValueError("broken")
    return "mended"


@workflow(name="long-breaking")
def broken(run: WorkflowRun, folder: str) -> list[str]:
    first = poll.run(run, 1, folder)
    return [str(first), breaking.run(run, folder)]
