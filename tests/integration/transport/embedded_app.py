"""A Celery app on the embedded broker of `CELERY_BROKER_URL`, with a lease of `TEST_LEASE` seconds."""

import os
import time

from celery import Celery

from aiki_celery.celery_binding.transport import register
from tests.harness.effects import record_effect

register()
app = Celery("embedded")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"lease": float(os.environ.get("TEST_LEASE", "15"))},
)


@app.task
def work(number: int, seconds: float = 0.0) -> None:
    record_effect("began", number=number)
    time.sleep(seconds)
    record_effect("ended", number=number)


@app.task
def publish_work(numbers: list[int]) -> None:
    for number in numbers:
        work.delay(number)


@app.task
def compute_without_yielding(seconds: float) -> None:
    record_effect("began", number=-1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    record_effect("ended", number=-1)
