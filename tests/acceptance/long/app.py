"""The application of workers that run what goes on for long."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.long import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("long")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)
