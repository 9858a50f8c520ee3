"""Schedules, brought to where a test begins, and a worker that sweeps them in this thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from aiki_celery import Schedules, WorkflowRun, workflow
from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.engine.sweeps.declarations import Declarations
from aiki_celery.engine.sweeps.schedules import sweep_schedules
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import NewRun, envelope_of
from aiki_celery.model.schedules import NewSchedule
from tests.contract.house import House

HOUR = 3_600_000_000
NAME = "report"


@workflow(name="planned-report")
def report(run: WorkflowRun, region: str = "north") -> str:
    """Tells for when it was started."""
    return f"{region} {run.scheduled_for and run.scheduled_for.isoformat()}"


@workflow(name="planned-report", version="1.10.0")
def newer_report(run: WorkflowRun, region: str = "north", pages: int = 1) -> str:
    """The same, of a later version."""
    return f"{pages} pages of {region}"


class Planner:
    """A house with schedules.

    Args:
        journal: The journal.
        **settings: Settings of the engine.

    Attributes:
        house: Runs passes in this thread.
        context: What its sweeps are given.
        schedules: What `aiki.schedules` is.
        declared: What its code declares.
    """

    def __init__(self, journal: Journal, **settings: Any) -> None:
        self.house = House(journal, **settings)
        self.declared: dict[str, NewSchedule | None] = {}
        binding = self.house.binding
        self.context: SweepContext = replace(
            binding.sweep_context(), publish=self.house.publish, plans=self._plans
        )
        self.schedules = Schedules(
            journal,
            binding.settings,
            self.house.hooks,
            binding.route,
            lambda: "UTC",
            self._send,
            self.runtime,
        )

    #: Handles are not asked for results here.
    runtime: Any = None

    def sweep(self) -> float | None:
        """Looks for due schedules once."""
        return sweep_schedules(self.context)

    def declares(self, *plans: NewSchedule) -> Planner:
        """Has code that declares these."""
        self.declared = {plan.name: plan for plan in plans}
        return self

    def sync(self, worker_id: str) -> int:
        """Brings what its code declares into the journal."""
        return Declarations(self.context, worker_id).sync()

    def _plans(self) -> Mapping[str, NewSchedule | None]:
        return self.declared

    def _send(self, runs: Sequence[NewRun]) -> None:
        self.house.publish([envelope_of(run) for run in runs])

    def make(self, *, overdue: float | None = None, **facts: Any) -> str:
        """Makes an hourly schedule; it is due so many hours already, if that is told."""
        given: dict[str, Any] = {"name": NAME, "every": timedelta(hours=1)}
        name = self.schedules.create(report, **(given | facts)).name
        if overdue is not None:
            make_overdue(self.context.journal, overdue, name)
        return name


def make_overdue(journal: Journal, hours: float, name: str = NAME) -> int:
    """Puts the next due time of an hourly schedule back to a full hour, and gives it."""
    due = (journal.now() - int(hours * HOUR)) // HOUR * HOUR
    set_schedule(journal, name, due_at=due, fires_at=due)
    return due


def set_schedule(journal: Journal, name: str = NAME, **values: Any) -> None:
    """Writes columns of a schedule."""
    table = journal.schema.schedules
    with journal.connections.autocommit() as connection:
        changed = connection.execute(update(table).where(table.c.name == name).values(**values))
        assert 1 == changed.rowcount


def schedule_row(journal: Journal, name: str = NAME) -> Any:
    """The whole row of a schedule."""
    table = journal.schema.schedules
    with journal.connections.autocommit() as connection:
        return connection.execute(select(table).where(table.c.name == name)).one()


def planned_runs(journal: Journal, name: str = NAME) -> list[Any]:
    """The rows of a schedule's runs, by due time."""
    runs = journal.schema.runs
    query = select(runs).where(runs.c.schedule == name).order_by(runs.c.scheduled_for)
    with journal.connections.autocommit() as connection:
        return list(connection.execute(query).all())


def due_times(journal: Journal, name: str = NAME) -> list[int]:
    """The due times that have a run."""
    return [row.scheduled_for for row in planned_runs(journal, name)]
