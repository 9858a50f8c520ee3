"""Runs whose deadline has passed, and runs whose task was revoked: both are cancelled by the workers."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from aiki_celery.errors import RunFinished, RunNotFound
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.control.cancels import Acknowledged, Control
from aiki_celery.journal.dialect import db_asked
from aiki_celery.journal.schema import Schema
from aiki_celery.model.status import RunKind

#: Reason of a run that was cancelled because it took too long.
DEADLINE = "its deadline has passed"


class Deadlines:
    """Cancels runs that have taken too long.

    Args:
        connections: The database.
        schema: The tables.
        control: Cancels runs.
    """

    def __init__(self, connections: Connections, schema: Schema, control: Control) -> None:
        self._connections = connections
        self._runs = schema.runs
        self._control = control

    def passed(self, limit: int) -> list[str]:
        """Give runs whose deadline has passed, the earliest first."""
        runs = self._runs
        query = (
            select(runs.c.id)
            .where(runs.c.deadline_at.is_not(None), runs.c.deadline_at <= db_asked())
            .order_by(runs.c.deadline_at)
            .limit(limit)
        )
        return [row[0] for row in self._connections.read(query)]

    def enforce(self, run_id: str) -> Acknowledged:
        """Cancel a run whose deadline has passed. It has none any more then, so this is done once."""

        def work(connection: Connection, is_again: bool) -> Acknowledged:
            try:
                done = self._control.cancel_on(connection, run_id, DEADLINE, is_again=is_again)
            except (RunFinished, RunNotFound):
                done = Acknowledged(False)
            self._control.change(connection, run_id, {"deadline_at": None})
            return done

        return self._control.retrying(work)

    def live(self, run_ids: Collection[str]) -> list[str]:
        """Give those of these ids that are runs of ours, not over and not asked to end."""
        runs = self._runs
        query = select(runs.c.id).where(
            runs.c.id.in_(list(run_ids)),
            runs.c.kind.in_((RunKind.WORKFLOW.value, RunKind.STEP.value)),
            runs.c.finished_at.is_(None),
            runs.c.cancelled_at.is_(None),
        )
        return [row[0] for row in self._connections.read(query)]
