"""The durable app, with a journal connection opened before the pool is forked."""

from tests.integration.celery.durable_app import aiki, app

aiki.journal.ensure_ready()
opened_in_parent = aiki.journal.workers.all()

__all__ = ["app", "opened_in_parent"]
