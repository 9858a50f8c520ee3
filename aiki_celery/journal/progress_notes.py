"""What a run's code says of its progress: one small column of the run's row."""

from __future__ import annotations

from sqlalchemy import bindparam, func, update

from aiki_celery.errors import ClaimLost
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.pass_statements import fence_of, is_held, refusal
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.records import Claim


class ProgressNotes:
    """Writes progress. A failure of the machine may undo the last of it.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        runs, dialect = schema.runs, connections.engine.dialect
        note = (
            update(runs)
            .where(*is_held(runs))
            .values(progress_note=bindparam("note", type_=runs.c.progress_note.type))
        )
        if dialect.name == "postgresql":
            # Local to this statement: its commit does not wait for the disk.
            note = note.returning(func.set_config("synchronous_commit", "off", True))
        self._note = Statement(note, dialect)

    def write(self, claim: Claim, text: str) -> None:
        """Write what a run's code says of its progress.

        Raises:
            ClaimLost: The run has been taken over; nothing was written.
        """
        fence = fence_of(claim)

        def work() -> None:
            with self._connections.relaxed() as connection:
                if self._note.run(connection, **fence, note=text).rowcount == 0:
                    raise ClaimLost(refusal(claim))

        self._connections.retrying(work)
