"""Finished runs whose callbacks, chord or result wait to be confirmed."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, null, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.schema import Schema
from aiki_celery.model.records import Envelope


class Settlements:
    """Keeps the small mark of finished runs that the outside has not been told about.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        self._runs = schema.runs
        self._confirm = (
            update(self._runs)
            .where(
                self._runs.c.id.in_(bindparam("ids", expanding=True)), self._runs.c.settlement == "pending"
            )
            .values(settlement=null(), owner=null(), owner_pid=null(), claim_token=null())
        )

    def confirm(self, run_ids: Collection[str]) -> None:
        """Note that Celery has published the callbacks of these runs and stored their results."""

        def work() -> None:
            with self._connections.autocommit() as connection:
                connection.execute(self._confirm, {"ids": list(run_ids)})

        self._connections.retrying(work)

    def unattended(self, limit: int) -> list[Envelope]:
        """Give finished runs that wait to be confirmed and that nobody owns."""
        runs = self._runs
        query = (
            select(*(runs.c[name] for name in ENVELOPE_COLUMNS))
            .where(runs.c.settlement == "pending", runs.c.owner.is_(None))
            .limit(limit)
        )
        return [envelope(row) for row in self._connections.read(query)]
