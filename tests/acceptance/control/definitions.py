"""Trips that can be cancelled: each level cleans up what it has booked."""

from __future__ import annotations

import time
from datetime import timedelta

from aiki_celery import RunCancelled, WorkflowRun, current_step, task, workflow
from tests.harness.effects import await_effect
from tests.harness.telling import tell


@task(name="control-book")
def book(what: str) -> str:
    tell("book", what=what)
    return what


@task(name="control-cancel-booking")
def cancel_booking(what: str) -> str:
    tell("undo", what=what)
    return what


@task(name="control-slow")
def slow(what: str, until: str) -> str:
    """A step that is under way until the test says so."""
    tell("slow begun", what=what)
    await_effect(until)
    tell("slow done", what=what)
    return what


@task(name="control-slow-undo")
def slow_undo(what: str) -> str:
    tell("undo begun", what=what)
    await_effect("go on")
    tell("undo", what=what)
    return what


@task(name="control-watched")
def watched(what: str) -> str:
    """A step that says how far it is, and so hears of a cancel."""
    tell("slow begun", what=what)
    for part in range(600):
        current_step().heartbeat(part)
        time.sleep(0.05)
    return what


@workflow(name="control-stepping")
def stepping(run: WorkflowRun) -> list[str]:
    """Is in the middle of its second step when something is asked of it."""
    done: list[str] = []
    try:
        done.append(book.run(run, "hotel"))
        done.append(slow.run(run, "flight", "go on"))
        done.append(book.run(run, "car"))
    except RunCancelled:
        for what in reversed(done):
            cancel_booking.run(run, what)
        raise
    return done


@workflow(name="control-sleeping")
def sleeping(run: WorkflowRun) -> bool:
    hotel = book.run(run, "hotel")
    try:
        return run.sleep(timedelta(days=30))
    except RunCancelled:
        cancel_booking.run(run, hotel)
        raise


@workflow(name="control-leaf")
def leaf(run: WorkflowRun, name: str) -> str:
    book.run(run, name)
    try:
        run.sleep(3600)
    finally:
        cancel_booking.run(run, name)
    return name


@workflow(name="control-branch")
def branch(run: WorkflowRun) -> list[str]:
    book.run(run, "branch")
    futures = [leaf.start(run, "left"), leaf.start(run, "right")]
    unawaited = slow.start(run, "started", "never")
    try:
        return [*run.gather(*futures), unawaited.result()]
    finally:
        cancel_booking.run(run, "branch")


@workflow(name="control-root")
def root(run: WorkflowRun) -> list[str]:
    child = branch.start(run)
    try:
        return child.result()
    except RunCancelled:
        run.gather(child, return_exceptions=True)
        cancel_booking.run(run, "root")
        raise


@workflow(name="control-slow-cleaning")
def slow_cleaning(run: WorkflowRun) -> None:
    booked = [book.run(run, what) for what in ("hotel", "flight", "car")]
    try:
        run.sleep(3600)
    except RunCancelled:
        cancel_booking.run(run, booked[2])
        slow_undo.run(run, booked[1])
        cancel_booking.run(run, booked[0])


@workflow(name="control-watching")
def watching(run: WorkflowRun) -> str:
    try:
        return watched.run(run, "film")
    except RunCancelled:
        cancel_booking.run(run, "film")
        raise


@workflow(name="control-late", deadline=1.0)
def late(run: WorkflowRun) -> None:
    book.run(run, "hotel")
    try:
        run.sleep(3600)
    finally:
        cancel_booking.run(run, "hotel")
