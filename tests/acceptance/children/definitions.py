"""Parents and children."""

from __future__ import annotations

import os
import signal
import time

from aiki_celery import ReferenceConflict, WorkflowCancelled, WorkflowFailed, WorkflowRun, task, workflow
from tests.harness.telling import tell


@task(name="family-work")
def work(name: str, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    tell("work", of=name)
    return name


@task(name="family-die-once")
def die_once(flag: str) -> None:
    tell("die once")
    if not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)


@workflow(name="family-grandchild")
def grandchild(run: WorkflowRun, name: str, flag: str | None = None) -> str:
    work.run(run, f"{name} before")
    if flag is not None:
        die_once.run(run, flag)
    return work.run(run, f"{name} after")


@workflow(name="family-child")
def child(run: WorkflowRun, name: str, flag: str | None = None) -> str:
    return grandchild.run(run, f"{name}'s child", flag) + "!"


@workflow(name="family-parent")
def parent(run: WorkflowRun, flag: str | None = None) -> list[str]:
    first = work.run(run, "parent")
    return [first, *run.gather(child.start(run, "one"), child.start(run, "two", flag))]


@workflow(name="family-failing")
def failing(run: WorkflowRun, why: str) -> None:
    raise ValueError(why)


@workflow(name="family-sleeper")
def sleeper(run: WorkflowRun, name: str, seconds: float) -> str:
    work.start(run, f"{name} started")
    run.sleep(seconds)
    return work.run(run, f"{name} woke")


@workflow(name="family-coping")
def coping(run: WorkflowRun) -> list[str]:
    try:
        failing.run(run, "bad weather")
    except WorkflowFailed as error:
        return [error.workflow, error.type, error.message, work.run(run, "coped")]
    return []


@workflow(name="family-leaving")
def leaving(run: WorkflowRun, seconds: float, policy: str, fails: bool = False) -> str:
    sleeper.options(on_parent_close=policy).start(run, "left", seconds)  # type: ignore[arg-type]
    work.run(run, "leaving")
    if fails:
        raise ValueError("left in anger")
    return "left"


@workflow(name="family-owner")
def owner(run: WorkflowRun, reference: str) -> str:
    sleeper.options(reference_id=reference).start(run, "shared", 60.0)
    run.sleep(1.5)
    return "gone"


@workflow(name="family-follower")
def follower(run: WorkflowRun, reference: str) -> str:
    try:
        return sleeper.options(reference_id=reference).run(run, "shared", 60.0)
    except WorkflowCancelled as error:
        return work.run(run, f"cancelled {error.workflow}")


@workflow(name="family-sharing")
def sharing(run: WorkflowRun, reference: str, name: str, flag: str | None = None) -> list[str]:
    shared = grandchild.options(reference_id=reference).start(run, name)
    answer = [shared.result()]
    try:
        grandchild.options(reference_id=reference).start(run, "another name")
    except ReferenceConflict:
        answer.append("conflict")
    if flag is not None:
        die_once.run(run, flag)
    return answer
