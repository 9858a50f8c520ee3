"""A Celery app on the embedded broker of `CELERY_BROKER_URL`, with a lease of `TEST_LEASE` seconds."""

import os
import time

from celery import Celery

from aiki_celery.celery_binding.transport import register
from tests.harness.effects import Effects, await_effect, record_effect

register()
app = Celery("embedded")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"lease": float(os.environ.get("TEST_LEASE", "15"))},
)


def compute(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@app.task
def work(number: int, seconds: float = 0.0) -> None:
    record_effect("began", number=number)
    time.sleep(seconds)
    record_effect("ended", number=number)


@app.task
def work_until(number: int, effect: str) -> None:
    record_effect("began", number=number)
    await_effect(effect)
    record_effect("ended", number=number)


@app.task
def publish_work(numbers: list[int]) -> None:
    for number in numbers:
        work.delay(number)


@app.task
def compute_without_yielding(until: str, seconds: float) -> None:
    """Goes on for so long after the judge knows of that effect."""
    record_effect("began", number=-1)
    effects, deadline = Effects.from_env(), time.monotonic() + 60
    while not effects.count(until):
        assert time.monotonic() < deadline, f"nobody recorded {until!r}"
        compute(0.05)
    compute(seconds)
    record_effect("ended", number=-1)
