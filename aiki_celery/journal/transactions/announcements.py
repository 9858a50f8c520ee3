"""Messages that follow the commit of the caller's transaction: which are still to be sent, and that they were."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, func, null, select, update

from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.status import RunStatus

#: Microseconds after which a sweep sends the message of a run whose own process has not.
SOON = MICROSECOND


class Announcements:
    """Keeps the books of messages that follow a commit.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        runs = schema.runs
        named = runs.c.id.in_(bindparam("ids", expanding=True))
        is_queued = runs.c.status == RunStatus.QUEUED.value
        self._put_off = update(runs).where(named, is_queued)
        self._put_off = self._put_off.values(published_at=null(), deliveries=0, due_at=db_now() + SOON)
        is_unsent = is_queued & runs.c.published_at.is_(None)
        self._look = select(runs.c.id, is_unsent.label("is_unsent")).where(named)
        gap = int(redelivery_after * MICROSECOND)
        sent = update(runs).where(named, is_unsent)
        sent = sent.values(published_at=db_now(), deliveries=1, due_at=db_now() + gap)
        if connections.dialect == "postgresql":
            # Nothing is lost if this is: a message is sent twice. So its commit does not wait for the disk.
            self._sent: Any = sent.returning(func.set_config("synchronous_commit", "off", True))
        else:
            self._sent = sent

    def put_off(self, connection: Connection, run_ids: Collection[str]) -> None:
        """Within the caller's transaction: note that the messages of these queued runs follow its commit."""
        for ids in batches(run_ids):
            connection.execute(self._put_off, {"ids": ids})

    def look(self, run_ids: Collection[str]) -> dict[str, bool]:
        """Give which of these runs there are, and of each whether it is queued and nobody has sent its message."""
        with self._connections.autocommit() as connection:
            return {
                row.id: bool(row.is_unsent)
                for ids in batches(run_ids)
                for row in connection.execute(self._look, {"ids": ids})
            }

    def mark_sent(self, run_ids: Collection[str]) -> None:
        """Note that the messages of these runs were sent, if nobody has taken them yet."""
        with self._connections.relaxed() as connection:
            for ids in batches(run_ids):
                connection.execute(self._sent, {"ids": ids})
