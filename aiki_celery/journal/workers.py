"""The workers' rows: who is alive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND

#: Patience with the database at a heartbeat, in seconds: the next beat is soon enough.
BEAT_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as users see it. ``silent_for`` is in seconds, ``started_at`` in microseconds."""

    id: str
    hostname: str
    pid: int
    started_at: int
    silent_for: float
    info: str | None


class Workers:
    """Keeps one row per worker.

    Args:
        connections: The database.
        schema: The tables.
    """

    def __init__(self, connections: Connections, schema: Schema) -> None:
        self._connections = connections
        workers = self._workers = schema.workers
        self._beat = Statement(
            update(workers).where(workers.c.id == bindparam("worker")).values(beat_at=db_now()),
            connections.engine.dialect,
        )

    def beat(self, worker_id: str, hostname: str, pid: int, info: str | None) -> None:
        """Say that a worker is alive; the first time, and after its row was swept away, make the row."""

        def work() -> None:
            with self._connections.relaxed() as connection:
                if self._beat.run(connection, worker=worker_id).rowcount == 1:
                    return
                # The row is there when an earlier try was committed and its answer lost.
                with contextlib.suppress(IntegrityError):
                    connection.execute(
                        insert(self._workers).values(
                            id=worker_id,
                            hostname=hostname,
                            pid=pid,
                            started_at=db_now(),
                            beat_at=db_now(),
                            info=info,
                        )
                    )

        self._connections.retrying(work, patience=BEAT_PATIENCE)

    def remove(self, worker_id: str) -> None:
        """Take a worker's row away: it has ended."""
        with self._connections.autocommit() as connection:
            connection.execute(delete(self._workers).where(self._workers.c.id == worker_id))

    def remove_dead(self, ttl: float) -> int:
        """Take away the rows of workers silent for ``ttl`` seconds; give how many."""
        workers = self._workers
        with self._connections.autocommit() as connection:
            dead = delete(workers).where(workers.c.beat_at <= db_now() - int(ttl * MICROSECOND))
            return connection.execute(dead).rowcount

    def all(self) -> list[WorkerView]:
        """Give every worker that has a row, oldest first."""
        workers = self._workers
        columns = (workers.c.id, workers.c.hostname, workers.c.pid, workers.c.started_at, workers.c.info)
        with self._connections.autocommit() as connection:
            rows = connection.execute(
                select(*columns, (db_now() - workers.c.beat_at).label("silent")).order_by(
                    workers.c.started_at
                )
            )
            return [
                WorkerView(row.id, row.hostname, row.pid, row.started_at, row.silent / MICROSECOND, row.info)
                for row in rows
            ]
