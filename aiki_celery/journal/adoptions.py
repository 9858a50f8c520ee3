"""Celery tasks that workflows have started: taking one by its own message, and settling one from outside.

Each message says which of Celery's tries it is about, counting from 0. A try is taken once: one that is over, or that a
later one has followed, finds nothing to take. A later try is proof that the one before is over, even if that has not
been noted yet.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sqlalchemy import bindparam, func, null, or_, select, update

from aiki_celery.errors import JournalUnavailable
from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.family.endings import TRIES
from aiki_celery.journal.family.family import Family, Tie
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.pass_statements import fence_of, is_held
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.adopted_call import AdoptedCall
from aiki_celery.model.records import Claim, Envelope, Owner
from aiki_celery.model.status import RunKind, RunStatus
from aiki_celery.model.transitions import sources_of

_KINDS = [kind.value for kind in RunKind if kind.is_celery_task]

#: States in which a started Celery task may be settled by somebody who does not hold it.
_OPEN = [status.value for status in sources_of(RunStatus.COMPLETED)]

_CLAIM_COLUMNS = tuple(
    field.name
    for field in fields(Claim)
    if field.name not in ("run_id", "token", "now", "history_length", "kind", "inbox")
)


class _Changed(Exception):
    """The run is not as it was: undo, and look again."""


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
            select(*facts, db_now().label("now"), func.length(runs.c.history).label("history_length")).where(
                runs.c.id == bindparam("run"), runs.c.claim_token == bindparam("token")
            ),
            dialect,
        )
        self._look = Statement(
            select(runs.c.parent_id, runs.c.parent_seq, runs.c.lane, runs.c.followers).where(
                runs.c.id == bindparam("run"), is_celery, is_any(runs.c.status, _OPEN)
            ),
            dialect,
        )
        self._leave = Statement(
            update(runs)
            .where(*is_held(runs))
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
                is_taken = self._take.run(connection, **values).rowcount == 1
                row = self._facts.run(connection, run=run_id, token=token).first() if is_taken else None
                if row is None:  # of one that is taken: it was settled or cancelled since
                    return None
                facts = {name: getattr(row, name) for name in (*_CLAIM_COLUMNS, "now", "history_length")}
                return Claim(run_id=run_id, token=token, kind=RunKind(row.kind), **facts)

        return self._connections.retrying(work)

    def leave(self, claim: Claim, why: str) -> bool:
        """Let go of a task that another one goes on with: nobody looks after it until that is taken or over."""

        def work() -> bool:
            with self._connections.autocommit() as connection:
                return self._leave.run(connection, **fence_of(claim), why=clean(why)).rowcount == 1

        return self._connections.retrying(work)

    def mark_handed_out(self, run_ids: Collection[str]) -> None:
        """Note that the broker has the messages of tasks of another service: from now on they are its own affair."""
        runs = self._runs
        named = runs.c.id.in_(bindparam("ids", expanding=True))
        is_queued = runs.c.status == RunStatus.QUEUED.value
        statement = update(runs).where(named, runs.c.kind == RunKind.FOREIGN.value, is_queued)
        statement = statement.values(published_at=db_now(), due_at=None)

        def work() -> None:
            with self._connections.autocommit() as connection:
                for ids in batches(run_ids):
                    connection.execute(statement, {"ids": ids})

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
                followers = self._family.followers(run_id, connection) if found.followers else []
                own = [] if found.parent_id is None else [Tie(found.parent_id, found.parent_seq, found.lane)]
                woken = self._family.count_off_all(connection, [*own, *followers])
                settle = self._settle[status]
                if settle.run(connection, **values, followers=len(followers)).rowcount != 1:
                    raise _Changed
                return woken

        for _ in range(TRIES):
            try:
                return self._connections.retrying(work)
            except _Changed:
                continue  # somebody has settled it, or follows it, since we looked
        raise JournalUnavailable(f"Run {run_id} changed again and again while its end was to be recorded.")

    def calls(self, run_ids: Collection[str]) -> dict[str, AdoptedCall]:
        """Give what the messages of those of these runs carry that are started Celery tasks and not over."""
        runs = self._runs
        facts = (runs.c.workflow, runs.c.input, runs.c.call, runs.c.attempt, runs.c.claimed_at)
        query = select(runs.c.id, *facts).where(
            runs.c.id.in_(list(run_ids)), runs.c.kind.in_(_KINDS), runs.c.status.in_(_OPEN)
        )
        rows = self._connections.read(query)
        return {
            row.id: AdoptedCall(row.workflow, row.input, row.call or "{}", row.attempt, bool(row.claimed_at))
            for row in rows
        }

    def _settled(self, status: RunStatus) -> Any:
        runs = self._runs
        return (
            update(runs)
            .where(runs.c.id == bindparam("run"), is_any(runs.c.kind, _KINDS), is_any(runs.c.status, _OPEN))
            .where(runs.c.followers == bindparam("followers"))
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
