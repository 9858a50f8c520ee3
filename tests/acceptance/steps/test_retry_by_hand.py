"""``handle.retry()``: a failed workflow goes on from the step that failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from aiki_celery import Aiki, RunError, TaskFailed, WorkflowFailed, WorkflowRun, task, workflow

done: list[str] = []
broken: set[str] = set()


@task(name="retried-work")
def work(name: str) -> str:
    done.append(name)
    if name in broken:
        raise RuntimeError(f"{name} is broken")
    return name


@workflow(name="retried-inline")
def in_line(run: WorkflowRun) -> list[str]:
    return [work.run(run, name) for name in ("a", "b", "c")]


@workflow(name="retried-started")
def started(run: WorkflowRun) -> list[str]:
    first = work.run(run, "first")
    others = run.gather(*[work.start(run, name) for name in ("a", "b", "b", "c")])
    return [first, *others, work.run(run, "last")]


@workflow(name="retried-handled")
def handled(run: WorkflowRun) -> str:
    try:
        work.run(run, "optional")
    except TaskFailed:
        work.run(run, "instead")
    return work.run(run, "needed")


@workflow(name="retried-own-error")
def own_error(run: WorkflowRun) -> str:
    work.run(run, "a")
    if broken:
        raise ValueError("the workflow's own")
    return work.run(run, "b")


@pytest.fixture(autouse=True)
def aiki(sqlite_url: str) -> Iterator[Aiki]:
    """An application that does everything in this process; nothing is done, and nothing broken."""
    app = Celery("here", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    done.clear()
    broken.clear()
    with Aiki(app, journal=sqlite_url) as aiki:
        app.finalize()
        yield aiki
        aiki.close()


def fails_then_goes_on(definition: object, *names: str) -> tuple[object, list[str]]:
    """Its result after it failed and was retried, and what was done after that."""
    broken.update(names)
    handle = definition.enqueue()  # type: ignore[attr-defined]
    with pytest.raises(WorkflowFailed):
        handle.get()
    broken.clear()
    done.clear()
    handle.retry()
    return handle.get(), list(done)


def test_inline_step_that_failed_is_run_again_with_what_follows() -> None:
    """What came before it is replayed."""
    assert (["a", "b", "c"], ["b", "c"]) == fails_then_goes_on(in_line, "b")


def test_started_step_that_failed_is_started_again_in_its_place() -> None:
    """Those that were started with it keep their outcomes, also where they stand after it."""
    result = ["first", "a", "b", "b", "c", "last"]
    assert (result, ["a", "last"]) == fails_then_goes_on(started, "a")


def test_started_steps_that_failed_together_are_all_started_again() -> None:
    """Also where they were called alike."""
    result = ["first", "a", "b", "b", "c", "last"]
    assert (result, ["b", "b", "c", "last"]) == fails_then_goes_on(started, "b", "c")


def test_failure_that_the_code_has_dealt_with_is_left_as_it_is() -> None:
    """Only the step whose error ended the run is done again."""
    assert ("needed", ["needed"]) == fails_then_goes_on(handled, "optional", "needed")


def test_error_of_the_workflow_itself_puts_no_step_aside() -> None:
    """Every step is replayed, and the code goes on after them."""
    assert ("b", ["b"]) == fails_then_goes_on(own_error, "anything")


def test_retry_of_a_completed_run_is_refused() -> None:
    """There is nothing to go on from."""
    handle = in_line.enqueue()
    with pytest.raises(RunError, match="only a failed run can be retried"):
        handle.retry()
