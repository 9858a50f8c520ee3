"""The application of workers that run parents and children."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.children import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("children")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)
