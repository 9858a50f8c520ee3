"""The application of workers that run async tasks."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.async_tasks import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("async-tasks")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)
