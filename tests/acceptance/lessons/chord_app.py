"""The app of the lesson of chords; `LESSON_RESULT_EXPIRES` is how long Celery keeps a result, in seconds."""

from __future__ import annotations

import os

from tests.acceptance.lessons import chord_tasks
from tests.acceptance.lessons.app import aiki, app

__all__ = ["aiki", "app", "chord_tasks"]

if seconds := os.environ.get("LESSON_RESULT_EXPIRES"):
    app.conf.result_expires = int(seconds)
