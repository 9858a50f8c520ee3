"""Finished runs whose callbacks, chord or result wait to be confirmed."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, func, null, select, update

from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_asked, db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope

#: How long somebody who was sent a message has to take it, in microseconds, before another one is sent.
TOLD_WITHIN = 5 * MICROSECOND


class Settlements:
    """Keeps the small mark of finished runs that the outside has not been told about.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        self._runs = schema.runs
        self._is_unattended = self._runs.c.settlement == "pending", self._runs.c.owner.is_(None)
        self._confirm = (
            update(self._runs)
            .where(
                self._runs.c.id.in_(bindparam("ids", expanding=True)), self._runs.c.settlement == "pending"
            )
            .values(settlement=null(), owner=null(), owner_pid=null(), claim_token=null(), due_at=null())
        )

    def confirm(self, run_ids: Collection[str]) -> None:
        """Note that Celery has published the callbacks of these runs and stored their results."""

        def work() -> None:
            with self._connections.autocommit() as connection:
                for ids in batches(run_ids):
                    connection.execute(self._confirm, {"ids": ids})

        self._connections.retrying(work)

    def put_off(self, run_ids: Collection[str], until: int) -> None:
        """Have these runs told again at an instant in microseconds, and not before."""
        runs = self._runs
        named = runs.c.id.in_(bindparam("ids", expanding=True))
        later = update(runs).where(named, *self._is_unattended).values(due_at=until)

        def work() -> None:
            with self._connections.autocommit() as connection:
                for ids in batches(run_ids):
                    connection.execute(later, {"ids": ids})

        self._connections.retrying(work)

    def due_in(self) -> float | None:
        """Give the seconds until one of them is to be told again, 0 or less if it is now; None where there is none."""
        runs = self._runs
        first = func.min(func.coalesce(runs.c.due_at, 0))
        # Nearly always there is nothing.
        rows = self._connections.read(select((first - db_now()).label("left")).where(*self._is_unattended))
        left = rows[0].left
        return None if left is None else left / MICROSECOND

    def take_unattended(self, limit: int) -> list[Envelope]:
        """Give finished runs that wait to be confirmed and that nobody owns; each again after a while, if need be."""
        runs = self._runs
        is_due = func.coalesce(runs.c.due_at, 0) <= db_asked()
        find = select(*(runs.c[name] for name in ENVELOPE_COLUMNS)).where(*self._is_unattended, is_due)

        def work() -> list[Envelope]:
            with self._connections.transaction() as connection:
                rows = connection.execute(find.limit(limit).with_for_update(skip_locked=True))
                found = [envelope(row) for row in rows]
                later = update(runs).where(runs.c.id.in_([run.run_id for run in found]))
                connection.execute(later.values(due_at=db_now() + TOLD_WITHIN))
                return found

        return self._connections.retrying(work)
