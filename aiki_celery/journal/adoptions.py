"""Celery tasks that workflows have started: taking one by its own message, and settling one from outside.

Each message says which of Celery's tries it is about, counting from 0. A try is taken once: one that is over, or that a
later one has followed, finds nothing to take. A later try is proof that the one before is over, even if that has not
been noted yet.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, null, or_, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.family import Family, Tie
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.records import AdoptedCall, Claim, Envelope, Owner
from aiki_celery.model.status import RunKind, RunStatus
from aiki_celery.model.transitions import sources_of

_KINDS = [kind.value for kind in RunKind if kind.is_celery_task]

#: States in which a started Celery task may be settled by somebody who does not hold it.
_OPEN = [status.value for status in sources_of(RunStatus.COMPLETED)]

_CLAIM_COLUMNS = tuple(
    field.name
    for field in fields(Claim)
    if field.name not in ("run_id", "token", "now", "history_length", "kind")
)


class Adoptions:
    """Takes and settles started Celery tasks.

    Args:
        connections: The database.
        schema: The tables.
        family: Tells a parent that a run it started is over.
    """

    def __init__(self, connections: Connections, schema: Schema, family: Family) -> None:
        self._connections = connections
        self._family = family
        dialect = connections.engine.dialect
        runs = self._runs = schema.runs
        is_celery = is_any(runs.c.kind, _KINDS)
        message = bindparam("try", type_=runs.c.attempt.type)
        take = or_(
            is_any(runs.c.status, [RunStatus.QUEUED.value, RunStatus.AWAITING_RETRY.value])
            & (runs.c.attempt <= message),
            (runs.c.status == RunStatus.RUNNING.value) & (runs.c.attempt < message),
            # An earlier try of this very claim, whose answer was lost.
            (runs.c.status == RunStatus.RUNNING.value) & (runs.c.claim_token == bindparam("token")),
        )
        self._take = Statement(
            update(runs)
            .where(runs.c.id == bindparam("run"), is_celery, take)
            .values(
                status=RunStatus.RUNNING.value,
                epoch=runs.c.epoch + 1,
                attempt=message,
                owner=bindparam("owner_id"),
                owner_pid=bindparam("pid"),
                claim_token=bindparam("token"),
                claimed_at=db_now(),
                due_at=null(),
                reason=null(),
                history=appended(
                    runs.c.history, RunStatus.RUNNING, bindparam("why", type_=runs.c.history.type)
                ),
            ),
            dialect,
        )
        facts = [runs.c[name] for name in ("kind", *_CLAIM_COLUMNS)]
        self._facts = Statement(
            select(*facts, db_now().label("now"), func.length(runs.c.history).label("long")).where(
                runs.c.id == bindparam("run"), runs.c.claim_token == bindparam("token")
            ),
            dialect,
        )
        self._look = Statement(
            select(runs.c.parent_id, runs.c.parent_seq, runs.c.lane, runs.c.call, runs.c.attempt).where(
                runs.c.id == bindparam("run"), is_celery, is_any(runs.c.status, _OPEN)
            ),
            dialect,
        )
        self._leave = Statement(
            update(runs)
            .where(
                runs.c.id == bindparam("run"),
                runs.c.epoch == bindparam("fence"),
                runs.c.claim_token == bindparam("token"),
                runs.c.status == RunStatus.RUNNING.value,
            )
            .values(
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                published_at=db_now(),
                due_at=null(),
                owner=null(),
                owner_pid=null(),
                claim_token=null(),
                history=appended(
                    runs.c.history, RunStatus.QUEUED, bindparam("why", type_=runs.c.history.type)
                ),
            ),
            dialect,
        )
        self._settle = {
            status: Statement(self._settled(status), dialect)
            for status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
        }

    def claim(self, run_id: str, attempt: int, owner: Owner, token: str) -> Claim | None:
        """Take a started Celery task for one of its tries.

        Args:
            run_id: The run.
            attempt: Which try the message is about, counting from 1.
            owner: Who takes it.
            token: Drawn anew for each claim.

        Returns:
            The claim, or None when there is nothing to take: this try is held or over, or the run is unknown.
        """
        why = clean(f"claimed by {owner.worker_id}, process {owner.pid}")
        values = {"run": run_id, "try": attempt, "token": token, "why": why}
        values |= {"owner_id": owner.worker_id, "pid": owner.pid}

        def work() -> Claim | None:
            with self._connections.relaxed() as connection:
                if self._take.run(connection, **values).rowcount == 0:
                    return None
                row = self._facts.run(connection, run=run_id, token=token).one()
                facts = {name: getattr(row, name) for name in _CLAIM_COLUMNS}
                facts |= {"kind": RunKind(row.kind), "now": row.now, "history_length": row.long}
                return Claim(run_id=run_id, token=token, **facts)

        return self._connections.retrying(work)

    def leave(self, claim: Claim, why: str) -> bool:
        """Let go of a task that another one goes on with: nobody looks after it until that is taken or over."""

        def work() -> bool:
            with self._connections.autocommit() as connection:
                left = self._leave.run(
                    connection, run=claim.run_id, fence=claim.epoch, token=claim.token, why=clean(why)
                )
                return left.rowcount == 1

        return self._connections.retrying(work)

    def mark_handed_out(self, run_ids: Collection[str]) -> None:
        """Note that the broker has the messages of tasks of another service: from now on they are its own affair."""
        runs = self._runs
        statement = (
            update(runs)
            .where(
                runs.c.id.in_(list(run_ids)),
                runs.c.kind == RunKind.FOREIGN.value,
                runs.c.status == RunStatus.QUEUED.value,
            )
            .values(published_at=db_now(), due_at=None)
        )

        def work() -> None:
            with self._connections.autocommit() as connection:
                connection.execute(statement)

        self._connections.retrying(work)

    def settle(
        self,
        run_id: str,
        status: RunStatus,
        *,
        output: str | None = None,
        error: str | None = None,
        why: str,
    ) -> list[Envelope] | None:
        """Record the end of a started Celery task, whoever holds it, and tell its parent once.

        Args:
            run_id: The run.
            status: ``completed``, ``failed`` or ``cancelled``.
            output: Result as JSON text.
            error: Error as JSON text.
            why: Line for the history.

        Returns:
            What the messages of those runs are made from that waited for it; None when there was nothing to settle.
        """
        note = clean(why) if status is not RunStatus.COMPLETED else None
        values = {"result": output, "failure": error, "why": clean(why), "note": note, "run": run_id}

        def work() -> list[Envelope] | None:
            with self._connections.transaction() as connection:
                found = self._look.run(connection, run=run_id).first()
                if found is None:
                    return None
                woken = self._tell(connection, found)
                if self._settle[status].run(connection, **values).rowcount != 1:
                    connection.rollback()
                    return None
                return woken

        return self._connections.retrying(work)

    def calls(self, run_ids: Collection[str]) -> dict[str, AdoptedCall]:
        """Give what the messages of those of these runs carry that are started Celery tasks and not over."""
        runs = self._runs
        query = select(runs.c.id, runs.c.workflow, runs.c.input, runs.c.call, runs.c.attempt).where(
            runs.c.id.in_(list(run_ids)), runs.c.kind.in_(_KINDS), runs.c.status.in_(_OPEN)
        )
        rows = self._connections.read(query)
        return {row.id: AdoptedCall(row.workflow, row.input, row.call or "{}", row.attempt) for row in rows}

    def _tell(self, connection: Connection, run: Any) -> list[Envelope]:
        if run.parent_id is None:
            return []
        return self._family.count_off_all(connection, [Tie(run.parent_id, run.parent_seq, run.lane)])

    def _settled(self, status: RunStatus) -> Any:
        runs = self._runs
        return (
            update(runs)
            .where(runs.c.id == bindparam("run"), is_any(runs.c.kind, _KINDS), is_any(runs.c.status, _OPEN))
            .values(
                status=status.value,
                reason=bindparam("note"),
                output=bindparam("result", type_=runs.c.output.type),
                error=bindparam("failure", type_=runs.c.error.type),
                finished_at=db_now(),
                due_at=null(),
                owner=null(),
                owner_pid=null(),
                claim_token=null(),
                history=appended(runs.c.history, status, bindparam("why", type_=runs.c.history.type)),
            )
        )
