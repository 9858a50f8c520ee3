"""Schedules, declared and made at run time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from typing_extensions import assert_type

from aiki_celery import Aiki, Schedule, Schedules, ScheduleView, WorkflowHandle, WorkflowRun, schedule
from tests.typing.definitions import note, order

declared = schedule(
    order.options(queue="q"),
    cron="0 3 * * *",
    timezone="Europe/Berlin",
    overlap="allow",
    catchup_window=timedelta(hours=1),
    jitter=30,
    args=("o-1",),
)
assert_type(declared, Schedule)
schedule(order, every=60, overlap="never")  # type: ignore[arg-type]
schedule(order, every=60, jitter="30")  # type: ignore[arg-type]
schedule(note, every=60)  # type: ignore[arg-type]
schedule(order, every=60, windw=3)  # type: ignore[call-arg]


def at_run_time(aiki: Aiki) -> None:
    """What `aiki.schedules` takes and gives."""
    schedules = aiki.schedules
    assert_type(schedules, Schedules)
    made = schedules.create(order, name="n", every=timedelta(minutes=1), args=("o-1",))
    assert_type(made, ScheduleView)
    assert_type(made.next_due_at, datetime | None)
    assert_type(schedules.list(order), list[ScheduleView])
    assert_type(schedules.update("n", cron="* * * * *", catchup_window=None), ScheduleView)
    schedules.update("n", overlap="never")  # type: ignore[typeddict-item,arg-type,unused-ignore]
    schedules.update("n", crom="* * * * *")  # type: ignore[call-arg]
    assert_type(schedules.trigger("n"), WorkflowHandle[Any])
    now = datetime.now(timezone.utc)
    assert_type(schedules.backfill("n", now, now), list[WorkflowHandle[Any]])
    schedules.backfill("n", "2026-01-01", now)  # type: ignore[arg-type]


def inside(run: WorkflowRun) -> None:
    """What a workflow knows of it."""
    assert_type(run.scheduled_for, datetime | None)
