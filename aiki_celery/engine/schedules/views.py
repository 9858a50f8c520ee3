"""Schedules as users see them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.schedules import ScheduleView, Skip, StoredSchedule


def view_of(stored: StoredSchedule) -> ScheduleView:
    """Give what users see of a schedule."""
    plan = stored.plan
    is_waiting = stored.fires_at is not None
    return ScheduleView(
        name=plan.name,
        workflow=plan.workflow,
        timing=_in_words(plan.timing),
        timezone=plan.timezone,
        overlap=plan.overlap,
        catchup_window=None if plan.catchup_window is None else timedelta(microseconds=plan.catchup_window),
        jitter=timedelta(microseconds=plan.jitter),
        input=json.loads(plan.input),
        options=json.loads(plan.options) if plan.options else {},
        origin=stored.origin,
        paused_at=_moment(stored.paused_at),
        next_due_at=_moment(stored.due_at) if is_waiting else None,
        next_start_at=_moment(stored.fires_at),
        last_due_at=_moment(stored.last_due_at),
        last_run_id=stored.last_run_id,
        last_skip=_skip(stored.skip_note),
        created_at=to_datetime(stored.created_at),
        updated_at=to_datetime(stored.updated_at),
    )


def _in_words(timing: str) -> str:
    facts = json.loads(timing)
    return f"cron {facts['cron']}" if "cron" in facts else f"every {facts['every'] / MICROSECOND:g} s"


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


def _skip(note: str | None) -> Skip | None:
    if note is None:
        return None
    facts = json.loads(note)
    return Skip(to_datetime(facts["first"]), to_datetime(facts["last"]), facts["reason"], facts["run_id"])
