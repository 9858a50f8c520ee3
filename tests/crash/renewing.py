"""A workflow that continues as new, for ever if nobody stopped it."""

from __future__ import annotations

from aiki_celery import WorkflowRun, current_step, task, workflow
from tests.harness.telling import tell


@task(name="crash-poll")
def poll(what: str) -> str:
    tell("poll", what=what, generation=current_step().idempotency_key.rpartition(":")[2])
    return what


@workflow(name="crash-renewed")
def renewed(run: WorkflowRun, left: int = 2) -> str:
    """In each generation a step, one on a queue of its own that nobody waits for, a sleep, and what was said of it."""
    poll.run(run, "here")
    poll.options(key=f"beside-{left}").start(run, "beside")
    run.progress(2 - left, 2)
    run.sleep(0.01)
    if left:
        run.continue_as_new(left - 1)
    return poll.run(run, f"the end of generation {run.generation}")
