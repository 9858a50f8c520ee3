"""Queueing a run that is there: what its row is set to when the message about it is sent next."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, literal, null

from aiki_celery.journal.dialect import db_now, instant
from aiki_celery.journal.history import appended
from aiki_celery.model.status import RunStatus


def queued_again(runs: Any, why: str | ColumnElement[str], gap: int) -> dict[str, Any]:
    """Give what a run is set to that goes on, and whose message follows the commit.

    Args:
        runs: The table.
        why: Line for the history.
        gap: Microseconds after which it is published again if nobody has taken it.
    """
    return {
        "status": RunStatus.QUEUED.value,
        "reason": null(),
        "queued_at": db_now(),
        "published_at": db_now(),
        "due_at": db_now() + literal(gap, instant()),
        "deliveries": 1,
        "history": appended(runs.c.history, RunStatus.QUEUED, why),
    }
