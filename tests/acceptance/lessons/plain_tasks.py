"""Tasks without any workflow: what Celery does by itself."""

from __future__ import annotations

import time

from celery import shared_task

from tests.harness.effects import await_effect, record_effect


@shared_task(name="plain-effect", acks_late=True)
def effect(name: str, seconds: float = 0.0, until: str | None = None) -> str:
    record_effect(name)
    time.sleep(seconds)
    if until is not None:
        await_effect(until)
    record_effect(f"{name} ended")
    return name
