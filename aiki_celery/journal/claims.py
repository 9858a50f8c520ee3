"""Taking a run: one statement moves it and bumps its epoch, a second reads its record.

A claim does not wait for the disk where the database lets one commit be spared that (PostgreSQL, SQLite). If the
database fails within the moment, the claim is undone and the run is as it was before, queued; what the pass writes
later either makes the claim durable with it, as the log is written in order, or is refused by the fence.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, null, or_, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.records import Claim, Owner, StepRecord
from aiki_celery.model.status import TIMED, RunStatus, StepKind, StepStatus
from aiki_celery.model.transitions import sources_of

_CLAIM_COLUMNS = (
    *(
        "workflow",
        "version",
        "epoch",
        "attempt",
        "reference_id",
        "input",
        "queue",
        "priority",
        "origin",
        "request",
    ),
    "created_at",
)
_STEP_COLUMNS = (
    *(
        "seq",
        "kind",
        "name",
        "address",
        "status",
        "attempt",
        "epoch",
        "started_at",
        "finished_at",
        "value",
        "due_at",
    ),
)


class Claims:
    """Takes runs for a process, and reads what they have recorded.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        dialect = connections.engine.dialect
        self._returns = bool(dialect.update_returning)
        runs, steps = schema.runs, schema.steps
        due = [status.value for status in sources_of(RunStatus.RUNNING) if status in TIMED]
        take = (
            update(runs)
            .where(
                runs.c.id == bindparam("run"),
                or_(
                    runs.c.status == RunStatus.QUEUED.value,
                    is_any(runs.c.status, due) & (runs.c.due_at <= db_now()),
                    # An earlier try of this very claim, whose answer was lost.
                    (runs.c.status == RunStatus.RUNNING.value) & (runs.c.claim_token == bindparam("token")),
                ),
            )
            .values(
                status=RunStatus.RUNNING.value,
                epoch=runs.c.epoch + 1,
                owner=bindparam("owner_id"),
                owner_pid=bindparam("pid"),
                claim_token=bindparam("token"),
                claimed_at=db_now(),
                due_at=null(),
                reason=null(),
                history=appended(
                    runs.c.history, RunStatus.RUNNING, bindparam("why", type_=runs.c.history.type)
                ),
            )
        )
        facts: tuple[Any, ...] = (
            *(runs.c[name] for name in _CLAIM_COLUMNS),
            db_now().label("now"),
            func.length(runs.c.history).label("long"),
        )
        if dialect.name == "postgresql":
            # Local to this statement: its commit does not wait for the disk.
            facts = (*facts, func.set_config("synchronous_commit", "off", True))
        self._take = Statement(take.returning(*facts) if self._returns else take, dialect)
        self._facts = Statement(
            select(*facts).where(runs.c.id == bindparam("run"), runs.c.claim_token == bindparam("token")),
            dialect,
        )
        self._record = Statement(
            select(*(steps.c[name] for name in _STEP_COLUMNS))
            .where(steps.c.run_id == bindparam("run"))
            .order_by(steps.c.seq),
            dialect,
        )
        self._take_settlement = Statement(
            update(runs)
            .where(
                runs.c.id == bindparam("run"),
                runs.c.settlement == "pending",
                or_(runs.c.owner.is_(None), runs.c.claim_token == bindparam("token")),
            )
            .values(owner=bindparam("owner_id"), owner_pid=bindparam("pid"), claim_token=bindparam("token")),
            dialect,
        )

    def claim(self, run_id: str, owner: Owner, token: str) -> tuple[Claim, list[StepRecord]] | None:
        """Take a run that is queued or due, and read its record.

        Args:
            run_id: The run.
            owner: Who takes it.
            token: Drawn anew for each claim, so that a second try knows the first one's work.

        Returns:
            The claim and the record, or None when there is nothing to take: the run is held, waiting, over or unknown.
        """

        def work() -> tuple[Claim, list[StepRecord]] | None:
            with self._connections.relaxed() as connection:
                facts = self._taken(connection, run_id, owner, token)
                if facts is None:
                    return None
                # The driver's own rows: a run may have a hundred thousand records.
                rows = self._record.run(connection, run=run_id).cursor.fetchall()
                return _claim(run_id, token, facts), [_step(row) for row in rows]

        return self._connections.retrying(work)

    def _taken(self, connection: Connection, run_id: str, owner: Owner, token: str) -> Any:
        parameters = {
            "run": run_id,
            "owner_id": owner.worker_id,
            "pid": owner.pid,
            "token": token,
            "why": clean(f"claimed by {owner.worker_id}, process {owner.pid}"),
        }
        taken = self._take.run(connection, **parameters)
        if self._returns:
            return taken.first()
        if taken.rowcount == 0:
            return None
        return self._facts.run(connection, run=run_id, token=token).one()

    def claim_settlement(self, run_id: str, owner: Owner, token: str) -> bool:
        """Take a finished run whose callbacks were not confirmed and whose owner is gone.

        Returns:
            Whether this caller is to tell the outside again.
        """

        def work() -> bool:
            with self._connections.autocommit() as connection:
                taken = self._take_settlement.run(
                    connection, run=run_id, owner_id=owner.worker_id, pid=owner.pid, token=token
                )
                return taken.rowcount == 1

        return self._connections.retrying(work)


def _claim(run_id: str, token: str, row: Any) -> Claim:
    facts = {name: getattr(row, name) for name in _CLAIM_COLUMNS}
    return Claim(run_id=run_id, token=token, now=row.now, history_length=row.long, **facts)


def _step(row: Any) -> StepRecord:
    seq, kind, name, address, status, attempt, epoch, started_at, finished_at, value, due_at = row
    return StepRecord(
        seq,
        _KINDS[kind],
        name,
        address,
        _STATUSES[status],
        attempt,
        epoch,
        started_at,
        finished_at,
        None,
        value,
        due_at,
    )


_KINDS = {kind.value: kind for kind in StepKind}
_STATUSES = {status.value: status for status in StepStatus}
