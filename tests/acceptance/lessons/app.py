"""The app of most lessons; `LESSON_VISIBILITY_TIMEOUT` is Redis', in seconds."""

from __future__ import annotations

import os

from celery import Celery

from aiki_celery import Aiki
from aiki_celery.model.events import WriteRefused
from tests.acceptance.lessons import definitions, plain_tasks, siblings
from tests.harness.effects import record_effect

__all__ = ["aiki", "app", "definitions", "plain_tasks", "siblings"]

app = Celery("lessons")
app.conf.worker_prefetch_multiplier = 1
if timeout := os.environ.get("LESSON_VISIBILITY_TIMEOUT"):
    app.conf.broker_transport_options = {"visibility_timeout": int(timeout)}
aiki = Aiki(app)
aiki.on(WriteRefused, lambda event: record_effect("refused", run=event.run_id, epoch=event.epoch))
