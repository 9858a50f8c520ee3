"""Existing Celery tasks in a run that is done in the caller's own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, group, shared_task

from aiki_celery import (
    Aiki,
    InputInvalid,
    NotJournalable,
    RunStatus,
    StepCancelled,
    TaskFailed,
    WorkflowRun,
    task,
    workflow,
)

told: list[Any] = []


@shared_task(name="here-add")
def add(x: int, y: int) -> int:
    return x + y


@shared_task(name="here-note")
def note(value: Any) -> None:
    told.append(value)


@shared_task(bind=True, name="here-flaky", max_retries=2)
def flaky(self: Any, works_at: int) -> str:
    attempt = self.request.retries + 1
    told.append(f"try {attempt}")
    if attempt < works_at:
        raise self.retry(exc=OSError("not yet"), countdown=60)
    return str(self.request.id)


@task(name="here-own")
def own(x: int) -> int:
    return x


@workflow(name="here-calling")
def calling(run: WorkflowRun, works_at: int) -> Any:
    added = run.start(add.s(1, 2).set(link=note.s()))
    tried = run.start(flaky.s(works_at))
    try:
        return [added.result(), tried.result(), tried.id]
    except TaskFailed as error:
        return [error.type, error.message, error.attempts]


@workflow(name="here-delayed")
def delayed(run: WorkflowRun) -> list[int]:
    return run.gather(run.start(add.s(1, 1).set(countdown=0.4)), run.start(add.s(2, 2)))


@workflow(name="here-foreign")
def foreign(run: WorkflowRun) -> Any:
    return run.start(add.app.signature("billing-charge", args=(1,))).result()


@workflow(name="here-wrong")
def wrong(run: WorkflowRun, what: str) -> Any:
    signatures: dict[str, Any] = {
        "no signature": "here-add",
        "a chain": chain(add.s(1, 2), add.s(3)),
        "a group": group(add.s(1, 2), add.s(3, 4)),
        "too few": add.s(1),
        "unknown argument": add.s(1, 2, z=3),
        "of a canvas": add.s(1, 2).set(chord=add.s(1, 2)),
        "a workflow": calling.s(1),
        "a task": {"task": "here-own", "args": [1], "kwargs": {}, "options": {}},
        "long name": add.app.signature("x" * 101),
        "no JSON": add.s(1, {"y": {object()}}),
        "key": add.s(1, {2: 3}),
        "not a number": add.s(float("nan"), 1),
        "option": add.s(1, 2).set(producer=object()),
        "eta": add.s(1, 2).set(eta="some day"),
        "queue": add.s(1, 2).set(queue="nowhere"),
    }
    return run.start(signatures[what]).result()


@pytest.fixture
def here(sqlite_url: str) -> Iterator[Celery]:
    """An application with a journal, and neither broker nor worker."""
    app = Celery("here", broker="memory://", set_as_current=False)
    app.conf.task_create_missing_queues = False
    with Aiki(app, journal=sqlite_url):
        app.finalize()
        told.clear()
        yield app


def test_tasks_are_applied_with_their_own_retries_and_callbacks(here: Celery) -> None:
    """As Celery's own ``apply`` does; a step's id is its task's."""
    result = calling.apply((3,))

    assert [3, f"{result.id}.2", f"{result.id}.2"] == result.get()
    assert [3, "try 1", "try 2", "try 3"] == told


def test_a_task_that_gives_up_raises(here: Celery) -> None:
    """After its own tries."""
    assert ["OSError", "not yet", 1] == calling.apply((9,)).get()
    assert [3, "try 1", "try 2", "try 3"] == told


def test_a_countdown_is_waited_for(here: Celery) -> None:
    """What can be done before it is done before it."""
    began = time.monotonic()

    assert [2, 4] == delayed.apply().get()

    assert time.monotonic() - began >= 0.4


def test_a_task_of_another_service_cannot_be_run_here(here: Celery) -> None:
    """There is nobody to send it to."""
    with pytest.raises(TaskFailed, match="billing-charge is no task of this application"):
        foreign.apply().get()


@pytest.mark.parametrize("sent", ["enqueue", "delay"])
def test_eager_starts_run_them_too(here: Celery, sent: str) -> None:
    """As users' test suites have it."""
    here.conf.task_always_eager = True
    if sent == "enqueue":
        handle = calling.enqueue(1)
        assert RunStatus.COMPLETED is handle.status
        assert [3, f"{handle.id}.2", f"{handle.id}.2"] == handle.get(timeout=0)
    else:
        assert 3 == calling.delay(1).get()[0]


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("no signature", InputInvalid, "takes the signature of a Celery task"),
        ("a chain", InputInvalid, r"takes one task, not a chain; make a canvas durable by durable\(\.\.\.\)"),
        ("a group", InputInvalid, "takes one task, not a group"),
        ("too few", InputInvalid, "missing 1 required positional argument: 'y'"),
        ("unknown argument", InputInvalid, "unexpected keyword argument 'z'"),
        ("of a canvas", InputInvalid, "the signature is part of a canvas"),
        ("a workflow", InputInvalid, r"is a workflow of aiki_celery: start the workflow itself"),
        ("a task", InputInvalid, r"is a task of aiki_celery: start the task itself"),
        ("long name", InputInvalid, "the task's name has more than 100 characters"),
        ("no JSON", NotJournalable, r"here-add: args\[1\]\['y'\] cannot be journaled"),
        ("key", NotJournalable, r"here-add: args\[1\] cannot be journaled: the key 2 is not a string"),
        ("not a number", NotJournalable, r"here-add: args\[0\] cannot be journaled"),
        ("option", NotJournalable, r"here-add: options\['producer'\] cannot be journaled"),
        ("eta", InputInvalid, "here-add: argument 'eta'"),
        ("queue", InputInvalid, "here-add: argument 'queue'"),
    ],
)
def test_what_cannot_be_started_is_refused_before_anything_is_written(
    here: Celery, what: str, error: type[Exception], message: str
) -> None:
    """With the task's name and the place."""
    result = wrong.apply((what,))
    with pytest.raises(error, match=message):
        result.get()
    assert [] == here.aiki.journal.views.find(parent_id=result.id)


def test_a_task_that_ignores_itself_is_cancelled(here: Celery) -> None:
    """It has no result to wait for."""
    with pytest.raises(StepCancelled):
        ignoring.apply().get()


@shared_task(name="here-ignore")
def ignore() -> None:
    from celery.exceptions import Ignore

    raise Ignore


@workflow(name="here-ignoring")
def ignoring(run: WorkflowRun) -> None:
    run.start(ignore.s()).result()
