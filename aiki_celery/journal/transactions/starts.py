"""Writing new runs in the caller's transaction: they exist exactly if it commits.

They are written as not published, and due soon: if the process dies between the commit and the message, a sweep sends
it. Nothing here is tried again, and no statement fails on purpose: PostgreSQL would give up the whole transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, null, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from aiki_celery.errors import ReferenceConflict
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.history import first_line
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.starts import common_row, common_values, delayed_values, scheduled_values
from aiki_celery.journal.statement import Statement
from aiki_celery.journal.transactions.announcements import SOON
from aiki_celery.journal.transactions.joined import JoinedTransaction
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import NewRun
from aiki_celery.model.status import RunStatus


class JoinedStarts:
    """Inserts runs in somebody else's transaction.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        dialect = connections.engine.dialect
        runs = schema.runs
        queued = common_values(runs) | {
            "status": RunStatus.QUEUED.value,
            "queued_at": db_now(),
            "published_at": null(),
            "deliveries": 0,
            "due_at": db_now() + SOON,
            "history": first_line(RunStatus.QUEUED, "enqueued in the caller's transaction"),
        }
        values = {"queued": queued, "delayed": delayed_values(runs), "scheduled": scheduled_values(runs)}
        self._insert = {
            name: Statement(insert(runs).values(columns), dialect) for name, columns in values.items()
        }
        self._insert_or_pass = self._insert
        if dialect.name in ("postgresql", "sqlite"):
            unless_taken = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
            self._insert_or_pass = {
                name: Statement(unless_taken(runs).values(columns).on_conflict_do_nothing(), dialect)
                for name, columns in values.items()
            }
        self._by_reference = Statement(
            select(runs.c.id, runs.c.input_hash).where(
                runs.c.workflow == bindparam("workflow"), runs.c.reference_id == bindparam("reference_id")
            ),
            dialect,
        )

    def insert(self, joined: JoinedTransaction, run: NewRun, *, return_existing: bool) -> str:
        """Write a run, or find the one that has its reference id already; the transaction goes on either way.

        Returns:
            The id of the run: the new one's, or that of the run with this reference id and the same input.

        Raises:
            ReferenceConflict: The reference id is taken by a run with other input.
        """
        if run.reference_id is None:
            self._write(self._insert, joined.connection, run)
            return run.id
        for _ in range(2):
            if self._wrote(joined.connection, run):
                return run.id
            found = self._find(joined.connection, run)
            if found is not None:
                if found.input_hash == run.input_hash or return_existing:
                    return str(found.id)
                raise ReferenceConflict(run.workflow, run.reference_id, found.id)
        self._write(self._insert, joined.connection, run)
        return run.id

    def insert_many(self, joined: JoinedTransaction, runs: Sequence[NewRun]) -> None:
        """Write many runs without reference ids; all of them wait the same time or none does."""
        statement, extra = self._insert[_kind(runs[0])], _extra(runs[0])
        statement.run_many(joined.connection, [common_row(run) | extra for run in runs])

    def _wrote(self, connection: Connection, run: NewRun) -> bool:
        """Write a run unless its reference id is taken; tell whether it did."""
        try:
            return self._write(self._insert_or_pass, connection, run) == 1
        except IntegrityError:
            # MariaDB undoes the statement alone. Its INSERT IGNORE would let other errors pass as well.
            if self._connections.dialect == "postgresql":
                raise
            return False

    def _write(self, statements: dict[str, Statement], connection: Connection, run: NewRun) -> int:
        return statements[_kind(run)].run(connection, **common_row(run), **_extra(run)).rowcount

    def _find(self, connection: Connection, run: NewRun) -> Any:
        """Find the run that has the reference id: written in this transaction, or committed meanwhile.

        The caller's transaction may look at the database as it was when it began, and a locking look would hold up
        the run.
        """
        facts = {"workflow": run.workflow, "reference_id": run.reference_id}

        def elsewhere() -> Any:
            with self._connections.autocommit() as own:
                return self._by_reference.run(own, **facts).first()

        found = self._by_reference.run(connection, **facts).first()
        return self._connections.retrying(elsewhere) if found is None else found


def _kind(run: NewRun) -> str:
    if run.due_at is not None:
        return "scheduled"
    return "delayed" if run.delay else "queued"


def _extra(run: NewRun) -> dict[str, Any]:
    if run.due_at is not None:
        return {"due_at": run.due_at}
    return {"gap": int(run.delay * MICROSECOND)} if run.delay else {}
