"""Writing new runs: one statement each way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from aiki_celery.errors import ReferenceConflict
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.history import first_line
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import NewRun, Owner
from aiki_celery.model.status import RunStatus

#: What every new run is written with.
COMMON = (
    *(
        "id",
        "workflow",
        "version",
        "definition",
        "reference_id",
        "origin",
        "queue",
        "priority",
        "request",
        "tags",
    ),
    *("encoding", "input_hash", "input"),
    *("deadline_at", "forked_from", "schedule", "scheduled_for"),
)


class Starts:
    """Inserts runs.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._redelivery_after = int(redelivery_after * MICROSECOND)
        dialect = connections.engine.dialect
        runs = schema.runs
        common = common_values(runs)
        number = runs.c.due_at.type
        self._queued = Statement(
            insert(runs).values(
                **common,
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                published_at=db_now(),
                deliveries=1,
                due_at=db_now() + bindparam("gap", type_=number),
                history=first_line(RunStatus.QUEUED, "enqueued"),
            ),
            dialect,
        )
        self._delayed = Statement(insert(runs).values(delayed_values(runs)), dialect)
        self._scheduled = Statement(insert(runs).values(scheduled_values(runs)), dialect)
        claimed = common | {"epoch": 1}
        self._claimed = Statement(
            insert(runs).values(
                **claimed,
                status=RunStatus.RUNNING.value,
                queued_at=db_now(),
                claimed_at=db_now(),
                deliveries=1,
                owner=bindparam("owner"),
                owner_pid=bindparam("owner_pid"),
                claim_token=bindparam("claim_token"),
                history=first_line(RunStatus.RUNNING, "message received"),
            ),
            dialect,
        )
        self._by_reference = Statement(
            select(runs.c.id, runs.c.input_hash).where(
                runs.c.workflow == bindparam("workflow"), runs.c.reference_id == bindparam("reference_id")
            ),
            dialect,
        )
        self._by_id = Statement(
            select(runs.c.id, runs.c.claim_token).where(runs.c.id == bindparam("id")), dialect
        )
        self._now = Statement(select(db_now()), dialect)

    def insert(self, run: NewRun, *, return_existing: bool = False) -> str:
        """Write a run, or find the one that has its reference id already.

        Returns:
            The id of the run: the new one's, or that of the run with this reference id and the same input.

        Raises:
            ReferenceConflict: The reference id is taken by a run with other input.
        """

        def work() -> str:
            with self._connections.autocommit() as connection:
                return self._insert_on(connection, run, return_existing)

        return self._connections.retrying(work)

    def _insert_on(self, connection: Connection, run: NewRun, return_existing: bool) -> str:
        try:
            self._write(connection, run)
            return run.id
        except IntegrityError:
            if run.reference_id is not None:
                found = self._by_reference.run(
                    connection, workflow=run.workflow, reference_id=run.reference_id
                ).first()
                if found is not None:
                    if found.input_hash == run.input_hash or return_existing:
                        return str(found.id)
                    raise ReferenceConflict(run.workflow, run.reference_id, found.id) from None
            if self._by_id.run(connection, id=run.id).first() is not None:
                return run.id  # an earlier try was committed and its answer lost
            raise

    def _write(self, connection: Connection, run: NewRun) -> None:
        row = common_row(run)
        if run.due_at is not None:
            self._scheduled.run(connection, **row, due_at=run.due_at)
        elif run.delay:
            self._delayed.run(connection, **row, gap=int(run.delay * MICROSECOND))
        else:
            self._queued.run(connection, **row, gap=self._redelivery_after)

    def insert_many(self, runs: Sequence[NewRun]) -> None:
        """Write many runs without reference ids in one transaction; all of them wait the same time or none does."""
        rows = [common_row(run) for run in runs]
        first = runs[0]
        if first.due_at is not None:
            statement, extra = self._scheduled, {"due_at": first.due_at}
        elif first.delay:
            statement, extra = self._delayed, {"gap": int(first.delay * MICROSECOND)}
        else:
            statement, extra = self._queued, {"gap": self._redelivery_after}

        def work() -> None:
            try:
                with self._connections.transaction() as connection:
                    statement.run_many(connection, [row | extra for row in rows])
            except IntegrityError:
                with self._connections.autocommit() as connection:
                    if self._by_id.run(connection, id=first.id).first() is None:
                        raise  # else an earlier try was committed and its answer lost

        self._connections.retrying(work)

    def insert_claimed(self, run: NewRun, owner: Owner, token: str) -> int | None:
        """Write a run whose message carried its input, as taken by the process that received it.

        Returns:
            The database's instant, in microseconds, or None when the journal has a run with this id already.
        """

        def work() -> int | None:
            with self._connections.autocommit() as connection:
                try:
                    row = common_row(run)
                    self._claimed.run(
                        connection, **row, owner=owner.worker_id, owner_pid=owner.pid, claim_token=token
                    )
                except IntegrityError:
                    found = self._by_id.run(connection, id=run.id).first()
                    if found is None:
                        raise
                    if found.claim_token != token:
                        return None
                return int(self._now.run(connection).scalar_one())

        return self._connections.retrying(work)


def common_values(runs: Any) -> dict[str, Any]:
    """Give the SQL of what every INSERT of a run writes."""
    values: dict[str, Any] = {name: bindparam(name, type_=runs.c[name].type) for name in COMMON}
    # Of the two at most one is given.
    from_now = db_now() + bindparam("deadline_in", type_=runs.c.deadline_at.type)
    values["deadline_at"] = func.coalesce(from_now, values["deadline_at"])
    return values | {"epoch": 0, "attempt": 1, "recoveries": 0, "progress": 0, "created_at": db_now()}


def delayed_values(runs: Any) -> dict[str, Any]:
    """Give the SQL of what the INSERT of a run writes that waits for ``gap`` microseconds."""
    return scheduled_values(runs) | {"due_at": db_now() + bindparam("gap", type_=runs.c.due_at.type)}


def scheduled_values(runs: Any) -> dict[str, Any]:
    """Give the SQL of what the INSERT of a run writes that waits for the instant ``due_at``."""
    return common_values(runs) | {
        "status": RunStatus.SCHEDULED.value,
        "deliveries": 0,
        "due_at": bindparam("due_at", type_=runs.c.due_at.type),
        "history": first_line(RunStatus.SCHEDULED, "enqueued with a delay"),
    }


def common_row(run: NewRun) -> dict[str, Any]:
    """Give what every new run is written with."""
    seconds = run.deadline
    deadline_in = None if seconds is None else int(seconds * MICROSECOND)
    return {name: getattr(run, name) for name in COMMON} | {"deadline_in": deadline_in}
