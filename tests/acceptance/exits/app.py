"""The application of workers whose code calls ``sys.exit``."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.exits import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("exits")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app)
