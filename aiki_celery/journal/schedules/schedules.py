"""Schedules as they are stored: finding what is due, and changing one under the lock of its row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.schedules.locked import (
    LATEST_ONLY,
    PLAN,
    LockedSchedule,
    ScheduleStatements,
    plan_values,
)
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import NewRun
from aiki_celery.model.schedules import NewSchedule, StoredSchedule

T = TypeVar("T")

_STATE = (
    *("origin", "fingerprint", "paused_at", "due_at", "fires_at", "last_due_at", "last_run_id", "skip_note"),
    *("created_at", "updated_at"),
)


class Schedules:
    """Reads and writes schedules.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._statements = ScheduleStatements(connections, schema, redelivery_after)
        table = self._table = schema.schedules
        chosen = [*(table.c[name] for name in (*PLAN, *_STATE)), db_now().label("now")]
        locked = select(*chosen).where(table.c.name == bindparam("schedule"))
        dialect = connections.engine.dialect
        self._lock = Statement(locked.with_for_update(), dialect)
        self._lock_if_free = Statement(locked.with_for_update(skip_locked=True), dialect)
        self._all = select(*chosen).order_by(table.c.name)

    def soonest(self, workflows: Collection[str], limit: int) -> tuple[int, list[tuple[str, int]]]:
        """Give the database's instant, and the next schedules of these workflows: names, and when each starts a run."""
        table = self._table
        query = (
            select(db_now().label("now"), table.c.name, table.c.fires_at)
            .where(table.c.fires_at.is_not(None), table.c.workflow.in_(list(workflows)))
            .order_by(table.c.fires_at)
            .limit(limit)
        )
        for dialect in ("mysql", "mariadb"):
            # Else it reads and sorts them all.
            query = query.with_hint(table, f"FORCE INDEX ({table.name}_fires)", dialect)
        rows = self._connections.read(query)
        return (int(rows[0].now) if rows else 0), [(row.name, int(row.fires_at)) for row in rows]

    def all(self, workflow: str | None = None) -> list[StoredSchedule]:
        """Give every schedule by name, or those of one workflow."""
        query = self._all if workflow is None else self._all.where(self._table.c.workflow == workflow)
        return [_stored(row) for row in self._connections.read(query)]

    def get(self, name: str) -> StoredSchedule | None:
        """Give a schedule, or None where there is none of this name."""
        rows = self._connections.read(self._all.where(self._table.c.name == name))
        return _stored(rows[0]) if rows else None

    def locked(self, name: str, work: Callable[[LockedSchedule], T], *, if_free: bool = False) -> T | None:
        """Do work on a schedule in one transaction, under the lock of its row, and give what that gives.

        The work may be done again when the answer of its commit is lost; it then finds the row as it left it.

        Args:
            name: The schedule.
            work: Is given the schedule as it is.
            if_free: Whether to give it up when somebody else holds the lock.

        Returns:
            None where there is no such schedule, or it is held.
        """
        lock = self._lock_if_free if if_free else self._lock

        def attempt() -> T | None:
            with self._connections.transaction() as connection:
                row = lock.run(connection, schedule=name).first()
                if row is None:
                    return None
                return work(LockedSchedule(self._statements, connection, _stored(row), int(row.now)))

        return self._connections.retrying(attempt)

    def insert(
        self, plan: NewSchedule, origin: str, first: Callable[[int], tuple[int | None, int | None]]
    ) -> bool:
        """Write a new schedule; give whether there was none of its name.

        Args:
            plan: The schedule.
            origin: Where it comes from.
            first: Gives from the database's instant the first due time, and when that is acted on.
        """
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            with self._connections.transaction() as connection:
                now = int(connection.execute(select(db_now())).scalar_one())
                due_at, fires_at = first(now)
                values = plan_values(plan) | {"origin": origin, "due_at": due_at, "fires_at": fires_at}
                connection.execute(insert(self._table).values(**values, created_at=now, updated_at=now))
                return True

        try:
            return self._connections.retrying(attempt)
        except IntegrityError:
            if tries > 1:  # an earlier try may have been committed and its answer lost
                found = self.get(plan.name)
                return found is not None and (found.fingerprint, found.origin) == (plan.fingerprint, origin)
            return False

    def insert_beside(self, run: NewRun) -> NewRun:
        """Write a run of a schedule at the instant that it names, or microseconds later if that is taken."""
        for _ in range(100):
            if self._insert_beside(run):
                return run
            assert run.scheduled_for is not None
            run = replace(run, scheduled_for=run.scheduled_for + 1)
        raise RuntimeError(f"schedule {run.schedule!r}: no instant is free around {run.scheduled_for}")

    def _insert_beside(self, run: NewRun) -> bool:
        def attempt() -> bool:
            with self._connections.autocommit() as connection:
                try:
                    self._statements.insert_runs(connection, [run])
                except IntegrityError:
                    assert run.schedule is not None
                    assert run.scheduled_for is not None
                    taken = self._statements.taken(connection, run.schedule, run.scheduled_for)
                    # Ours, if an earlier try was committed and its answer lost.
                    return taken.get(run.scheduled_for) == run.id
                return True

        return self._connections.retrying(attempt)


def _stored(row: Any) -> StoredSchedule:
    plan = {name: getattr(row, name) for name in PLAN}
    if plan["catchup_window"] == LATEST_ONLY:
        plan["catchup_window"] = None
    return StoredSchedule(NewSchedule(**plan), **{name: getattr(row, name) for name in _STATE})
