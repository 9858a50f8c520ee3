"""Celery's ``expires`` is about the start: what has begun in time goes on, however late its message comes again.

Celery looks at it in the worker's main process, which may not wait for the journal. So our requests pass a message that
comes late on to the pool; what is to be discarded comes back as :class:`Expired`, and Celery announces it as ever.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from celery import Celery
from celery.exceptions import Ignore
from celery.utils.time import maybe_iso8601, maybe_make_aware


class Expired(Ignore):
    """A message came too late, and what it is about had not begun: it is discarded."""


def has_expired(app: Celery, expires: Any) -> bool:
    """Tell whether a message comes too late, as Celery does.

    Args:
        app: The application, whose time zone is meant where none is given.
        expires: The message's header.
    """
    if not expires:
        return False
    until: datetime = maybe_make_aware(maybe_iso8601(expires), app.conf.timezone)
    return datetime.now(timezone.utc if until.tzinfo else None) > until
