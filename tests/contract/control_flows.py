"""A workflow that makes every kind of journaled call, and cleans up what it has finished when it is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from aiki_celery import (
    EventTimeout,
    Retry,
    RunCancelled,
    WorkflowRun,
    event,
    task,
    workflow,
)

T = TypeVar("T")

#: What the code of the run under test has asked for in its current pass, and what it was told.
TRAIL: list[str] = []

#: What tasks have done, over all passes.
EFFECTS: list[str] = []

WORD = event("control-word", str)

KINDS = (
    *("inline", "retried", "parked", "now", "uuid", "patched", "nothing", "sleep", "until", "once"),
    *("started", "gathered", "first", "mapped", "child", "event", "late", "raised"),
)


@task(name="control-act")
def act(what: str) -> str:
    EFFECTS.append(what)
    return what


@task(name="control-flaky", retry=Retry.fixed(2, 0.001))
def flaky(what: str) -> str:
    return _second_time(what)


@task(name="control-parked", retry=Retry.fixed(2, 0.03))
def flaky_later(what: str) -> str:
    return _second_time(what)


@task(name="control-once", at_most_once=True)
def once(what: str) -> str:
    EFFECTS.append(what)
    return what


class Refused(Exception):
    """A declared error."""


@task(name="control-refusing", raises=[Refused])
def refusing(what: str) -> str:
    raise Refused(what)


@workflow(name="control-child")
def child(run: WorkflowRun, what: str) -> str:
    act.run(run, f"{what} begun")
    try:
        run.sleep(0.01)
        act.run(run, f"{what} done")
    except RunCancelled:
        act.run(run, f"undo {what} begun")
        raise
    return what


@workflow(name="control-everything")
def everything(run: WorkflowRun) -> list[str]:
    """Makes one call after the other, and undoes what it has finished, last first, if it is told of a cancel."""
    TRAIL.clear()
    done: list[str] = []
    try:
        for kind in KINDS:
            with _told(kind):
                CALLS[kind](run)
            done.append(kind)
    except RunCancelled:
        for kind in reversed(done):
            with _told(f"undo {kind}"):
                act.run(run, f"undo {kind}")
            if kind in ("sleep", "gathered"):
                with _told("rest"):
                    run.sleep(0.002)
                with _told("undo elsewhere"):
                    act.start(run, f"undo {kind} elsewhere").result()
        raise
    return done


@contextmanager
def _told(label: str) -> Any:
    TRAIL.append(label)
    try:
        yield
    except BaseException as error:
        TRAIL.append(f"{label}: {type(error).__name__}")
        raise


def _second_time(what: str) -> str:
    EFFECTS.append(what)
    if EFFECTS.count(what) == 1:
        raise ConnectionError(what)
    return what


def _gathered(run: WorkflowRun) -> None:
    futures = [act.start(run, f"gathered {number}") for number in range(3)]
    act.run(run, "between")
    run.gather(*futures)


def _first(run: WorkflowRun) -> None:
    futures = [act.start(run, side) for side in ("left", "right")]
    run.first(*futures).result()
    run.gather(*futures)


def _late(run: WorkflowRun) -> None:
    try:
        run.wait_for(WORD, timeout=timedelta(milliseconds=15))
    except EventTimeout:
        return
    raise AssertionError("no second word was sent")


def _raised(run: WorkflowRun) -> None:
    try:
        refusing.run(run, "no")
    except Refused:
        return


CALLS: dict[str, Callable[[WorkflowRun], Any]] = {
    "inline": lambda run: act.run(run, "inline"),
    "retried": lambda run: flaky.run(run, "retried"),
    "parked": lambda run: flaky_later.run(run, "parked"),
    "now": lambda run: run.now(),
    "uuid": lambda run: run.uuid4(),
    "patched": lambda run: run.patched("control-patch"),
    "nothing": lambda run: run.sleep(0),
    "sleep": lambda run: run.sleep(0.01),
    "until": lambda run: run.sleep_until(run.now() + timedelta(milliseconds=10)),
    "once": lambda run: once.run(run, "once"),
    "started": lambda run: act.start(run, "started").result(),
    "gathered": _gathered,
    "first": _first,
    "mapped": lambda run: run.map(act, ["m1", "m2", "m3"], max_concurrency=2),
    "child": lambda run: child.start(run, "child").result(),
    "event": lambda run: run.wait_for(WORD),
    "late": _late,
    "raised": _raised,
}
