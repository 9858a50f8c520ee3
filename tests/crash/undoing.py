"""Workflows that undo what they have done, and what is known of the order in which they do."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from aiki_celery import Retry, WorkflowRun, current_step, task, workflow
from tests.harness.telling import tell


class Full(Exception):
    """A declared error."""


@task(name="crash-book", raises=[Full])
def book(what: str) -> str:
    tell("book", what=what)
    if what == "seat":
        raise Full(what)
    return what


@task(name="crash-cancel")
def cancel(what: str) -> str:
    tell("cancel", what=what)
    return what


@task(name="crash-cancel-later", retry=Retry.fixed(2, 0.06))
def cancel_later(what: str) -> str:
    tell("cancel", what=what)
    if current_step().attempt == 1:
        raise ConnectionError("not now")
    return what


@task(name="crash-leave-it")
def leave_it(what: str) -> str:
    tell("cancel", what=what)
    raise RuntimeError("cannot be cancelled")


@workflow(name="crash-undone")
def undone(run: WorkflowRun) -> str:
    """Inline and started steps, a nested block that ends well, a compensation that waits; undone, it goes on."""
    if run.patched("insurance"):
        book.run(run, "insurance")
    try:
        with run.saga() as saga:
            saga.add(cancel, book.run(run, "hotel"))
            with run.saga() as inner:
                inner.add(cancel_later, book.run(run, "flight"))
            run.sleep(0.01)
            saga.add(cancel, book.start(run, "car").result())
            book.run(run, "seat")
    except Full:
        return book.run(run, "train")
    return "on a seat"


@workflow(name="crash-undone-again", retry=Retry.fixed(2, 0.02))
def undone_again(run: WorkflowRun) -> str:
    """The workflow is tried again: what was undone is done again, and what was not is not."""
    book.run(run, "insurance")
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        saga.add(cancel, book.run(run, "flight"))
        if run.attempt == 1:
            book.run(run, "seat")
    return book.run(run, "train")


@workflow(name="crash-not-undone")
def not_undone(run: WorkflowRun) -> None:
    """One compensation gives up; the others run all the same."""
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        saga.add(leave_it, book.run(run, "flight"))
        saga.add(cancel, book.run(run, "car"))
        raise Full("no seat")


@task(name="crash-give-up-trip")
def give_up(run_id: str) -> str:
    tell("give up")
    given_up.handle(run_id).cancel("the traveller is ill")
    return "asked"


@workflow(name="crash-given-up")
def given_up(run: WorkflowRun) -> None:
    """Cancelled in the middle of a step, in a nested block, with a started step behind it."""
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        with run.saga() as inner:
            inner.add(cancel_later, book.start(run, "flight").result())
            give_up.run(run, run.id)
            inner.add(cancel, book.run(run, "car"))


#: What is cancelled, in order, by the names of the workflows.
CANCELLED = {
    "crash-undone": ["car", "flight", "hotel"],
    "crash-undone-again": ["flight", "hotel"],
    "crash-not-undone": ["car", "flight", "hotel"],
    "crash-given-up": ["flight", "hotel"],
}


def cancelled(effects: Iterable[dict[str, Any]]) -> list[str]:
    """What was cancelled, in order; what a crash or a retry has repeated is told once."""
    return [what for what, _ in groupby(effect["what"] for effect in effects if effect["name"] == "cancel")]
