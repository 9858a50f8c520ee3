"""The application of workers whose runs wait for events."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.events import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("events")
app.conf.worker_prefetch_multiplier = 1
aiki = Aiki(app, secret_key=definitions.SECRET)
