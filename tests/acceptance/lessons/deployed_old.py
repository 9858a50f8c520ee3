"""A worker before the deploy: it has version 1.0.0 alone."""

from __future__ import annotations

from aiki_celery import WorkflowRun, workflow
from tests.acceptance.lessons.app import app
from tests.acceptance.lessons.definitions import work

__all__ = ["app"]


@workflow(name="lesson-deployed", version="1.0.0")
def deployed(run: WorkflowRun, number: int) -> str:
    work.run(run, number, 0.0)
    return "old"
