"""Queued runs that nobody has taken: how many should be in the broker, and which to send again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, case, func, literal, select, text, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_asked, db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.history import appended
from aiki_celery.journal.reach import can_send
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus

#: Longest gap between two publications of one run, in seconds.
LONGEST_GAP = 600


class Deliveries:
    """Looks after queued runs.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds until the first new publication; each further gap is twice as long.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._runs = schema.runs
        self._gap = int(redelivery_after * MICROSECOND)
        # A literal, so that the partial index serves whatever plan the database keeps.
        self._queued = text("status = 'queued'")
        # Of those that were never published this is the order in which they are due, and the one index that has it
        # holds them side by side: no other will do, however many published ones are due before them.
        names = ("status", "published_at", "due_at")
        # MariaDB finds that index by counting, and would sort for an order that names what all of them have in common.
        self._by_publication = [
            schema.runs.c[name]
            for name in (names[2:] if connections.dialect in ("mysql", "mariadb") else names)
        ]

    def has_overdue(self) -> tuple[bool, bool]:
        """Tell whether there are queued runs that were never published, and ones published too long ago."""
        runs, was_published = self._runs, self._runs.c.published_at.is_not(None)
        overdue = select(runs.c.id).where(self._queued, runs.c.due_at <= db_asked()).limit(1)
        published = overdue.where(was_published).order_by(runs.c.due_at).scalar_subquery()
        unpublished = overdue.where(~was_published).order_by(*self._by_publication).scalar_subquery()
        looks: Select[Any] = select()
        looks = looks.add_columns(unpublished.is_not(None).label("unsent"))
        found = self._connections.read(looks.add_columns(published.is_not(None).label("overdue")))[0]
        return bool(found.unsent), bool(found.overdue)

    def overdue_queues(self) -> list[str | None]:
        """Give the queues that have overdue published runs."""
        runs = self._runs
        query = select(runs.c.queue).where(
            self._queued, runs.c.due_at <= db_asked(), runs.c.published_at.is_not(None)
        )
        return [row[0] for row in self._connections.read(query.distinct())]

    def queued_per_queue(self) -> dict[str | None, int]:
        """Count the published queued runs of each queue, but for those that others look after."""
        runs = self._runs
        with self._connections.autocommit() as connection:
            counted = connection.execute(
                select(runs.c.queue, func.count())
                .where(self._queued, runs.c.published_at.is_not(None), runs.c.due_at.is_not(None))
                .group_by(runs.c.queue)
            )
            return {row[0]: int(row[1]) for row in counted}

    def take_unpublished(self, definitions: Collection[str], limit: int) -> list[Envelope]:
        """Mark queued runs that were never published as published now, and give their envelopes."""
        return self._take(
            definitions, limit, [self._runs.c.published_at.is_(None)], None, order=self._by_publication
        )

    def take_overdue(
        self, definitions: Collection[str], queue: str | None, limit: int, older_than: float = 0.0
    ) -> list[Envelope]:
        """Mark overdue runs of one queue as published again now, oldest publication first, and give their envelopes.

        Args:
            definitions: Those that this process has.
            queue: Celery queue.
            limit: Most runs at once.
            older_than: Only runs whose last publication is this many seconds old.
        """
        runs = self._runs
        conditions: list[Any] = [
            runs.c.published_at.is_not(None),
            runs.c.queue == queue if queue is not None else runs.c.queue.is_(None),
            runs.c.published_at <= db_now() - int(older_than * MICROSECOND),
        ]
        why = "published again: nobody had taken it"
        return self._take(definitions, limit, conditions, why, order=[runs.c.due_at])

    def _take(
        self,
        definitions: Collection[str],
        limit: int,
        conditions: Sequence[Any],
        why: str | None,
        *,
        order: Sequence[Any],
    ) -> list[Envelope]:
        runs = self._runs
        find = (
            select(*(runs.c[name] for name in ENVELOPE_COLUMNS))
            .where(
                self._queued,
                runs.c.due_at <= db_asked(),
                can_send(runs, definitions),
                *conditions,
            )
            .order_by(*order)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        gap = self._gap_after(runs.c.deliveries)
        values: dict[str, Any] = {
            "published_at": db_now(),
            "deliveries": runs.c.deliveries + 1,
            "due_at": db_now() + gap,
        }
        if why is not None:
            values["history"] = appended(runs.c.history, RunStatus.QUEUED, literal(why))

        def work() -> list[Envelope]:
            with self._connections.transaction() as connection:
                taken = [envelope(row) for row in connection.execute(find)]
                if taken:
                    connection.execute(
                        update(runs).where(runs.c.id.in_([run.run_id for run in taken])).values(**values)
                    )
                return taken

        return self._connections.retrying(work)

    def _gap_after(self, deliveries: Any) -> Any:
        """Give the SQL of the gap after so many publications: 1, 2, 4, ... times the first, up to the longest."""
        longest = max(LONGEST_GAP * MICROSECOND, self._gap)
        steps = []
        for made in range(1, 20):
            grown = self._gap * 2**made
            if grown >= longest:
                break
            steps.append((deliveries == made, grown))
        if not steps:
            return literal(longest)
        return case((deliveries == 0, self._gap), *steps, else_=longest)

    def stall_undelivered(self, after: float) -> int:
        """Stall queued runs that nobody has taken for ``after`` seconds; give how many."""
        runs = self._runs
        statement = (
            update(runs)
            .where(
                self._queued,
                runs.c.due_at.is_not(None),
                runs.c.queued_at <= db_asked() - int(after * MICROSECOND),
            )
            .values(
                status=RunStatus.STALLED.value,
                reason="undelivered",
                due_at=None,
                history=appended(
                    runs.c.history, RunStatus.STALLED, literal("undelivered: no worker took it")
                ),
            )
        )
        with self._connections.autocommit() as connection:
            return connection.execute(statement).rowcount
