"""The default Celery app with Aiki on it, for the workers that Celery's suite starts by the command line.

They name no app, so Celery would make its default app; ``APP=celery_suite_app`` in their environment puts
this one in its place, built with the same arguments.
"""

import os

from celery import Celery

from aiki_celery import Aiki

app = Celery("default", fixups=[], set_as_current=False, loader="default")
aiki = Aiki(app, journal=os.environ["CELERY_SUITE_JOURNAL"])
