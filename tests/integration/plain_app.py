"""A Celery app without workflows; `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND` say where it lives."""

import os
import time

from celery import Celery

from tests.harness.effects import record_effect

app = Celery("plain")
# A lost pool process gives its message back.
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def effect(name: str, seconds: float = 0.0) -> int:
    record_effect(name, phase="began")
    time.sleep(seconds)
    record_effect(name, phase="ended")
    return os.getpid()
