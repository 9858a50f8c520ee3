"""Taking a run: one statement moves it and bumps its epoch, a second reads its record, a third its inbox if it has one.

A claim does not wait for the disk where the database lets one commit be spared that (PostgreSQL, SQLite). If the
database fails within the moment, the claim is undone and the run is as it was before, queued; what the pass writes
later either makes the claim durable with it, as the log is written in order, or is refused by the fence.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, null, or_, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.family.outcomes import with_children, with_outcome
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.inbox.inbox import Inbox
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement, is_any
from aiki_celery.model.received import Received
from aiki_celery.model.records import Claim, Owner, StepRecord
from aiki_celery.model.status import TIMED, RunKind, RunStatus, StepKind, StepStatus
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
    *("created_at", "kind", "parent_id", "parent_seq", "lane", "timeout", "call", "details"),
    *("events", "control", "cancel_reason", "cancelled_at", "generation", "base_seq", "scheduled_for"),
)


#: The time of an attempt counts as over this long, in microseconds, after the process should have ended it.
TIMEOUT_GRACE = 2_000_000


class Claims:
    """Takes runs for a process, and reads what they have recorded.

    Args:
        connections: The database.
        schema: The tables.
        inbox: Reads what runs have received.
    """

    def __init__(self, connections: Connections, schema: Schema, inbox: Inbox) -> None:
        self._connections = connections
        self._inbox = inbox
        dialect = connections.engine.dialect
        self._returns = bool(dialect.update_returning)
        runs, steps = schema.runs, schema.steps
        due = [status.value for status in sources_of(RunStatus.RUNNING) if status in TIMED]
        running = runs.c.status == RunStatus.RUNNING.value
        # An earlier try of this very claim, whose answer was lost.
        is_ours = running & (runs.c.claim_token == bindparam("token"))
        is_due = runs.c.due_at <= db_now()
        is_free = or_(runs.c.status == RunStatus.QUEUED.value, is_any(runs.c.status, due) & is_due, is_ours)
        take = (
            update(runs)
            .where(runs.c.id == bindparam("run"))
            .values(
                status=RunStatus.RUNNING.value,
                epoch=runs.c.epoch + 1,
                owner=bindparam("owner_id"),
                owner_pid=bindparam("pid"),
                claim_token=bindparam("token"),
                claimed_at=db_now(),
                # Of a step with a timeout; the process that runs it has the first word.
                due_at=db_now() + runs.c.timeout + TIMEOUT_GRACE,
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
            runs.c.children,
            runs.c.forked_from,
        )
        if dialect.name == "postgresql":
            # Local to this statement: its commit does not wait for the disk.
            facts = (*facts, func.set_config("synchronous_commit", "off", True))
        self._take, self._take_expired = (
            Statement(taken.returning(*facts) if self._returns else taken, dialect)
            for taken in (take.where(is_free), take.where(or_(running & is_due, is_ours)))
        )
        self._facts = Statement(
            select(*facts).where(runs.c.id == bindparam("run"), runs.c.claim_token == bindparam("token")),
            dialect,
        )
        # The fields of a record, but for what was given to the step, which no replay looks at.
        fields = [null() if name == "input" else steps.c[name] for name in StepRecord._fields]
        self._record = Statement(
            select(*fields).where(steps.c.run_id == bindparam("run")).order_by(steps.c.seq),
            dialect,
        )
        self._record_with_children = Statement(
            with_children(steps, runs, fields)
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
        return self._claim(self._take, run_id, owner, token, "claimed")

    def claim_expired(self, run_id: str, owner: Owner, token: str) -> tuple[Claim, list[StepRecord]] | None:
        """Take a step's run away from whoever is at it, because the time of its attempt is over; see :meth:`claim`."""
        return self._claim(self._take_expired, run_id, owner, token, "timed out; settled")

    def _claim(
        self, statement: Statement, run_id: str, owner: Owner, token: str, what: str
    ) -> tuple[Claim, list[StepRecord]] | None:
        def work() -> tuple[Claim, list[StepRecord]] | None:
            with self._connections.relaxed() as connection:
                facts = self._taken(statement, connection, run_id, owner, token, what)
                if facts is None:
                    return None
                received = self._inbox.read(connection, run_id) if facts.events else ()
                received = tuple(event for event in received if event.number <= facts.events)
                return _claim(run_id, token, facts, received), self._recorded(connection, run_id, facts)

        return self._connections.retrying(work)

    def _recorded(self, connection: Connection, run_id: str, facts: Any) -> list[StepRecord]:
        """Read the record of a run. One that nobody has had before has none."""
        if facts.epoch == 1 and facts.forked_from is None:
            return []
        # The driver's own rows: a run may have a hundred thousand records.
        if facts.children:
            rows = self._record_with_children.run(connection, run=run_id).cursor.fetchall()
            # What has ended since the claim is read when it is waited for: the run may have been cancelled meanwhile.
            return [
                with_outcome(_step(row[:-4]), *row[-4:])
                if row[-1] is not None and row[-1] < facts.now
                else _step(row[:-4])
                for row in rows
            ]
        return [_step(row) for row in self._record.run(connection, run=run_id).cursor.fetchall()]

    def _taken(
        self, statement: Statement, connection: Connection, run_id: str, owner: Owner, token: str, what: str
    ) -> Any:
        parameters = {
            "run": run_id,
            "owner_id": owner.worker_id,
            "pid": owner.pid,
            "token": token,
            "why": clean(f"{what} by {owner.worker_id}, process {owner.pid}"),
        }
        taken = statement.run(connection, **parameters)
        if self._returns:
            return taken.first()
        if taken.rowcount == 0:
            return None
        # None if it was cancelled since.
        return self._facts.run(connection, run=run_id, token=token).first()

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


def _claim(run_id: str, token: str, row: Any, inbox: tuple[Received, ...]) -> Claim:
    facts = {name: getattr(row, name) for name in _CLAIM_COLUMNS}
    facts["kind"] = RunKind(row.kind)
    return Claim(run_id=run_id, token=token, now=row.now, history_length=row.long, inbox=inbox, **facts)


def _step(row: Any) -> StepRecord:
    seq, kind, name, address, status, attempt, epoch, started, ended, given, value, due, child = row
    kind, status = _KINDS[kind], _STATUSES[status]
    fields = (seq, kind, name, address, status, attempt, epoch, started, ended, given, value, due, child)
    # Not StepRecord(...), which would be one more call for each of a hundred thousand records.
    return tuple.__new__(StepRecord, fields)


_KINDS = {kind.value: kind for kind in StepKind}
_STATUSES = {status.value: status for status in StepStatus}
