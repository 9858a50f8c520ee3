"""An app whose pool process dies once, at the point `LESSON_DIE_AT` between the end of a run and its stored result."""

from __future__ import annotations

import os
from typing import Any

from celery import shared_task, signals

from aiki_celery.model.events import RunFinished, RunFinishing
from tests.acceptance.lessons import definitions, plain_tasks
from tests.acceptance.lessons.app import aiki, app
from tests.harness.effects import record_effect

__all__ = ["app", "definitions", "plain_tasks"]

# Celery keeps a chord for a process that died over it for five seconds then, not for twenty.
app.conf.update(result_chord_join_timeout=2.5, broker_connection_timeout=1, task_publish_retry=False)

POINT, MARK = os.environ.get("LESSON_DIE_AT", ""), os.environ.get("LESSON_MARK", "")
SUCCESSOR = "lesson-successor"


@shared_task(name=SUCCESSOR, bind=True, acks_late=True, reject_on_worker_lost=True)
def successor(self: Any, result: Any) -> Any:
    record_effect("successor", task=self.request.id, result=result)
    return result


@shared_task(name="lesson-plain-first")
def plain_first(result: Any) -> Any:
    record_effect("plain first")
    return result


def die_once(point: str) -> None:
    """Ends this process, the first time somebody gets to this point."""
    if point == POINT:
        try:
            os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        record_effect("died", point=point)
        os._exit(1)


def about_to_publish(sender: str | None = None, **_: Any) -> None:
    """Only in a pool's process: what the client publishes is not our business."""
    if sender == SUCCESSOR:
        die_once("before the successor is published")


def published(sender: str | None = None, **_: Any) -> None:
    if sender == SUCCESSOR:
        die_once("before the result is stored")


def stored(sender: Any = None, **_: Any) -> None:
    if sender is not None and "lesson-count" in sender.name:
        die_once("before the worker hears of it")


aiki.on(RunFinishing, lambda event: die_once("before the outcome is recorded"))
aiki.on(RunFinished, lambda event: die_once("after the outcome is recorded"))
signals.before_task_publish.connect(about_to_publish, weak=False)
signals.after_task_publish.connect(published, weak=False)
signals.task_success.connect(stored, weak=False)
