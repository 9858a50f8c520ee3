"""The application of workers that take started steps."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.steps import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("steps")
app.conf.worker_prefetch_multiplier = 1
app.conf.task_routes = {"steps-routed": {"queue": "elsewhere"}}
aiki = Aiki(app)
