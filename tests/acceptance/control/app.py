"""What the workers of these tests run: `celery -A tests.acceptance.control.app worker`."""

from __future__ import annotations

from celery import Celery

from aiki_celery import Aiki
from tests.acceptance.control import definitions as definitions

app = Celery("control")
aiki = Aiki(app)
