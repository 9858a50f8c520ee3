"""A run that a schedule starts, and that is not over when the next one is due."""

from __future__ import annotations

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.engine.schedules.schedules import Schedules
from aiki_celery.errors import ScheduleNotFound
from tests.harness.telling import tell

#: Seconds from one due time to the next: less than the run sleeps.
EVERY = 0.1


@task(name="crash-count")
def count(what: str) -> str:
    tell("count", what=what)
    return f"{what} counted"


@workflow(name="crash-planned")
def planned(run: WorkflowRun) -> list[str]:
    told = count.run(run, "stock")
    run.sleep(2 * EVERY)
    return [told, count.run(run, "orders"), "scheduled" if run.scheduled_for else "not scheduled"]


def plan(schedules: Schedules, name: str) -> None:
    """Makes the schedule, if no earlier life has."""
    schedules.create(planned, name=name, every=EVERY)


def has_skipped(schedules: Schedules, name: str) -> bool:
    """Whether a due time was skipped already: one is enough, so that each life meets the same."""
    try:
        return schedules.get(name).last_skip is not None
    except ScheduleNotFound:
        return True
