"""A worker after the deploy: it has version 2.0.0 as well, and a new plain task."""

from __future__ import annotations

from celery import shared_task

from aiki_celery import WorkflowRun, workflow
from tests.acceptance.lessons.definitions import work
from tests.acceptance.lessons.deployed_old import app
from tests.harness.effects import record_effect

__all__ = ["app"]


@shared_task(name="plain-new")
def plain_new() -> None:
    record_effect("plain new")


@workflow(name="lesson-deployed", version="2.0.0")
def deployed(run: WorkflowRun, number: int) -> str:
    work.run(run, number, 0.0)
    return "new"
