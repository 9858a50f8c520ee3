"""A schedule whose row is locked: what may be asked and written in that transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.history import first_line
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.starts import common_row, common_values
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import NewRun
from aiki_celery.model.schedules import LiveRun, NewSchedule, StoredSchedule
from aiki_celery.model.status import TERMINAL, RunStatus

PLAN = ("name", "workflow", "timing", "timezone", "overlap", "catchup_window", "jitter", "input", "options")

#: How the column says that only the latest missed due time is caught up.
LATEST_ONLY = -1

#: How many of a schedule's newest runs are looked at for one that is not over.
NEWEST = 100


class ScheduleStatements:
    """The statements, compiled once.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self.table = schema.schedules
        self._gap = int(redelivery_after * MICROSECOND)
        runs, dialect = schema.runs, connections.engine.dialect
        newest = (
            select(runs.c.id, runs.c.status, runs.c.cancelled_at)
            .where(runs.c.schedule == bindparam("schedule"))
            .order_by(runs.c.scheduled_for.desc())
            .limit(NEWEST)
        )
        self._newest = Statement(newest, dialect)
        self._taken = Statement(
            select(runs.c.scheduled_for, runs.c.id).where(
                runs.c.schedule == bindparam("schedule"), runs.c.scheduled_for >= bindparam("first")
            ),
            dialect,
        )
        self._insert = Statement(
            insert(runs).values(
                **common_values(runs),
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                published_at=db_now(),
                deliveries=1,
                due_at=db_now() + bindparam("gap", type_=runs.c.due_at.type),
                history=first_line(RunStatus.QUEUED, "started by its schedule"),
            ),
            dialect,
        )

    def live(self, connection: Connection, schedule: str) -> list[LiveRun]:
        """Give those of a schedule's newest runs that are not over."""
        over = {status.value for status in TERMINAL}
        rows = self._newest.run(connection, schedule=schedule).all()
        return [
            LiveRun(row.id, row.status, row.cancelled_at is not None)
            for row in rows
            if row.status not in over
        ]

    def taken(self, connection: Connection, schedule: str, first: int) -> dict[int, str]:
        """Give the runs of a schedule by their due times, from one due time on."""
        rows = self._taken.run(connection, schedule=schedule, first=first).all()
        return {int(row.scheduled_for): row.id for row in rows}

    def insert_runs(self, connection: Connection, runs: Sequence[NewRun]) -> None:
        """Write runs as queued."""
        rows = [common_row(run) | {"gap": self._gap} for run in runs]
        if len(rows) == 1:
            self._insert.run(connection, **rows[0])
        else:
            self._insert.run_many(connection, rows)


class LockedSchedule:
    """A schedule, in the transaction that holds its row.

    Attributes:
        stored: The schedule as it is.
        now: The database's instant, in microseconds.
    """

    def __init__(
        self, statements: ScheduleStatements, connection: Connection, stored: StoredSchedule, now: int
    ) -> None:
        self._statements = statements
        self._connection = connection
        self.stored = stored
        self.now = now

    def live(self) -> list[LiveRun]:
        """Give those of its newest runs that are not over."""
        return self._statements.live(self._connection, self.stored.plan.name)

    def taken(self, first: int) -> dict[int, str]:
        """Give its runs by their due times, from one due time on."""
        return self._statements.taken(self._connection, self.stored.plan.name, first)

    def start(self, runs: Sequence[NewRun]) -> None:
        """Write runs as queued."""
        self._statements.insert_runs(self._connection, runs)

    def change(self, **values: Any) -> None:
        """Write columns of its state."""
        self._update(values)

    def become(self, plan: NewSchedule, **values: Any) -> None:
        """Make it another one of the same name, and write columns of its state."""
        self._update(plan_values(plan) | values)

    def delete(self) -> None:
        """Delete it; its runs stay."""
        table = self._statements.table
        self._connection.execute(delete(table).where(table.c.name == self.stored.plan.name))

    def _update(self, values: dict[str, Any]) -> None:
        table = self._statements.table
        self._connection.execute(update(table).where(table.c.name == self.stored.plan.name).values(values))


def plan_values(plan: NewSchedule) -> dict[str, Any]:
    """Give a schedule as columns."""
    window = LATEST_ONLY if plan.catchup_window is None else plan.catchup_window
    return asdict(plan) | {"catchup_window": window, "fingerprint": plan.fingerprint}
