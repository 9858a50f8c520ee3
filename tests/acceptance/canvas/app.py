"""The application of the workers: existing tasks, Aiki added, and one workflow among them."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, task, workflow
from tests.acceptance.canvas import tasks

__all__ = ["aiki", "app", "double_it", "tasks"]

app = Celery("canvas")
app.conf.worker_prefetch_multiplier = 1
app.conf.result_chord_retry_interval = 0.1
app.conf.task_routes = {"canvas-return-headers": {"queue": "elsewhere"}}
aiki = Aiki(app)


@task(name="canvas-double")
def double(number: int) -> int:
    return 2 * number


@workflow(name="canvas-workflow")
def double_it(run: WorkflowRun, number: int) -> int:
    return double.run(run, number)
