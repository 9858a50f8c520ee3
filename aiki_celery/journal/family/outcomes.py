"""What became of the runs that a run has started: read with its record."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import TERMINAL, RunStatus, StepStatus

_OVER = sorted(status.value for status in TERMINAL)

_STATUS = {
    RunStatus.COMPLETED.value: StepStatus.COMPLETED,
    RunStatus.FAILED.value: StepStatus.FAILED,
    RunStatus.CANCELLED.value: StepStatus.CANCELLED,
}


class Outcomes:
    """Reads what became of started runs.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        dialect = connections.engine.dialect
        steps, child = schema.steps, schema.runs.alias("child")
        started = steps.join(child, child.c.id == steps.c.child_id)
        places = (
            steps.c.run_id == bindparam("run"),
            steps.c.seq.between(bindparam("first"), bindparam("last")),
            is_any(child.c.status, _OVER),
        )
        self._over = Statement(select(steps.c.seq).select_from(started).where(*places), dialect)
        self._of_places = Statement(
            select(steps.c.seq, *outcome_columns(child)).select_from(started).where(*places), dialect
        )

    def over(self, connection: Connection, run_id: str, first: int, last: int) -> set[int]:
        """Give the places, within these bounds, of starts whose run is over."""
        rows = self._over.run(connection, run=run_id, first=first, last=last)
        return {row[0] for row in rows}

    def of_places(self, run_id: str, first: int, last: int) -> dict[int, tuple[Any, ...]]:
        """Give the outcome of each start within these bounds that is over; see :func:`with_outcome`."""

        def work() -> dict[int, tuple[Any, ...]]:
            with self._connections.autocommit() as connection:
                rows = self._of_places.run(connection, run=run_id, first=first, last=last)
                return {row[0]: tuple(row[1:]) for row in rows}

        return self._connections.retrying(work)


def outcome_columns(child: Any) -> list[Any]:
    """Give the columns of a started run that say what became of it."""
    return [child.c.status, child.c.output, child.c.error, child.c.finished_at]


def with_children(steps: Any, runs: Any, columns: list[Any]) -> Select[Any]:
    """Give the query of a run's record, these columns of it, each start with what became of it in the last four."""
    child = runs.alias("child")
    return select(*columns, *outcome_columns(child)).select_from(
        steps.outerjoin(child, child.c.id == steps.c.child_id)
    )


def with_outcome(
    step: StepRecord, status: str | None, output: str | None, error: str | None, finished_at: int | None
) -> StepRecord:
    """Give a start's record with what became of the run it started; as it is while that is not over."""
    known = _STATUS.get(status or "")
    if known is None:
        return step
    value = output if known is StepStatus.COMPLETED else error
    return step._replace(status=known, value=value, finished_at=finished_at or step.finished_at)
