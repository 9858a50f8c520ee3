"""The app that workers load; the environment says where broker, backend and journal are."""

import json
import os

from celery import Celery

from aiki_celery import Aiki
from tests.integration.celery import flows

app = Celery("durable")
app.conf.update(json.loads(os.environ.get("TEST_APP_CONF", "{}")))
aiki = Aiki(app)

__all__ = ["aiki", "app", "flows"]
