"""The application of workers that have existing Celery tasks, and workflows that start them."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.steps import adopted_definitions

__all__ = ["adopted_definitions", "aiki", "app"]

app = Celery("adopted")
app.conf.worker_prefetch_multiplier = 1
app.conf.task_routes = {"adopted-routed": {"queue": "mail", "priority": 3}, "foreign-*": {"queue": "foreign"}}
aiki = Aiki(app)
