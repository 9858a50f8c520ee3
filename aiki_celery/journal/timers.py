"""Queueing runs whose time has come."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, select, update

from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_asked, db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.reach import can_send
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import TIMED, RunStatus


class Timers:
    """Finds sleeping, retrying and scheduled runs that are due.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._gap = int(redelivery_after * MICROSECOND)
        runs = self._runs = schema.runs
        self._timed = is_any(runs.c.status, sorted(status.value for status in TIMED))
        # One look into the index for each state: over several states at once, all who wait would be read.
        earliest = (
            select(runs.c.due_at)
            .where(runs.c.status == status.value, runs.c.due_at.is_not(None))
            .order_by(runs.c.due_at)
            .limit(1)
            .scalar_subquery()
            for status in sorted((*TIMED, RunStatus.RUNNING))
        )
        deadline = (
            select(runs.c.deadline_at)
            .where(runs.c.deadline_at.is_not(None))
            .order_by(runs.c.deadline_at)
            .limit(1)
            .scalar_subquery()
        )
        self._next = Statement(select(db_now(), *earliest, deadline), connections.engine.dialect)

    def seconds_to_next(self) -> float | None:
        """Give the seconds until the next run is due or late: zero or less when one is, None when none waits."""
        with self._connections.autocommit() as connection:
            found: list[Any] = list(self._next.run(connection).one())
        now, due = found[0], [int(instant) for instant in found[1:] if instant is not None]
        return (min(due) - int(now)) / MICROSECOND if due else None

    def queue_due(self, definitions: Collection[str], limit: int) -> list[Envelope]:
        """Queue due runs of these definitions, earliest first, and give what their messages are made from.

        Args:
            definitions: Those that this process has, as ``name@version``; others are left for a worker that has them.
            limit: Most runs at once.
        """
        runs = self._runs
        find = (
            select(*(runs.c[name] for name in ENVELOPE_COLUMNS))
            .where(self._timed, runs.c.due_at <= db_asked(), can_send(runs, definitions))
            .order_by(runs.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

        def work() -> list[Envelope]:
            with self._connections.transaction() as connection:
                due = [envelope(row) for row in connection.execute(find)]
                if due:
                    connection.execute(
                        update(runs)
                        .where(runs.c.id.in_([run.run_id for run in due]))
                        .values(queued_again(runs, "its time has come", self._gap))
                    )
                return due

        return self._connections.retrying(work)

    def expired(self, definitions: Collection[str], limit: int) -> list[str]:
        """Give the started steps, of these definitions, whose attempt has taken longer than it may."""
        runs = self._runs
        query = (
            select(runs.c.id)
            .where(
                runs.c.status == RunStatus.RUNNING.value,
                runs.c.due_at <= db_asked(),
                runs.c.definition.in_(list(definitions)),
            )
            .order_by(runs.c.due_at)
            .limit(limit)
        )
        return [row[0] for row in self._connections.read(query)]

    def mark_unpublished(self, run_ids: Collection[str]) -> None:
        """Note that the messages of these queued runs were not accepted, so that a sweep sends them soon."""
        runs = self._runs
        statement = (
            update(runs)
            .where(runs.c.id.in_(bindparam("ids", expanding=True)), runs.c.status == RunStatus.QUEUED.value)
            .values(published_at=None, due_at=db_now() + MICROSECOND)
        )

        def work() -> None:
            with self._connections.autocommit() as connection:
                for ids in batches(run_ids):
                    connection.execute(statement, {"ids": ids})

        self._connections.retrying(work)
