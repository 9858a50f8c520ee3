"""The application of workers, and of the seller."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.transactions import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("transactions")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)
