"""The application of workers whose code declares a schedule."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki, schedule
from tests.acceptance.schedules import definitions

__all__ = ["aiki", "app", "definitions"]

app = Celery("schedules")
aiki = Aiki(app)
schedule(definitions.tick, every=1, overlap="allow", catchup_window=60, args=("declared",), name="declared")
