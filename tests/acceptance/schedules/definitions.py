"""The workflows that schedules start."""

from __future__ import annotations

from aiki_celery import WorkflowRun, task, workflow
from tests.harness.telling import tell


@task(name="schedules-tell")
def tell_time(name: str, due: str) -> None:
    tell("tick", schedule=name, due=due)


@workflow(name="schedules-tick")
def tick(run: WorkflowRun, name: str) -> str:
    """Tells for when it was started."""
    assert run.scheduled_for is not None
    tell_time.run(run, name, run.scheduled_for.isoformat())
    return run.scheduled_for.isoformat()


@workflow(name="schedules-linger")
def linger(run: WorkflowRun) -> None:
    """Is not over when the next one is due."""
    run.sleep(3600)
