"""The journal's rows as they are, and what time does to them, behind the journal's back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select, update

from aiki_celery.journal.journal import Journal

MICROSECOND = 1_000_000


def wipe(journal: Journal) -> None:
    """Deletes everything."""
    with journal.connections.transaction() as connection:
        for table in journal.schema.metadata.sorted_tables:
            connection.execute(delete(table))


def run_row(journal: Journal, run_id: str) -> Any:
    """The whole row of a run."""
    runs = journal.schema.runs
    with journal.connections.autocommit() as connection:
        return connection.execute(select(runs).where(runs.c.id == run_id)).one()


def set_run(journal: Journal, run_id: str, **values: Any) -> None:
    """Writes columns of a run."""
    runs = journal.schema.runs
    with journal.connections.autocommit() as connection:
        assert connection.execute(update(runs).where(runs.c.id == run_id).values(**values)).rowcount == 1


def age(journal: Journal, run_id: str, seconds: float, *columns: str) -> None:
    """Makes instants of a run so many seconds older; all it has, unless some are named."""
    every = ("due_at", "created_at", "queued_at", "claimed_at", "finished_at", "published_at")
    runs = journal.schema.runs
    shift = int(seconds * MICROSECOND)
    set_run(journal, run_id, **{name: runs.c[name] - shift for name in columns or every})


def silence(journal: Journal, worker_id: str, seconds: float) -> None:
    """Makes a worker's last beat so many seconds older."""
    workers = journal.schema.workers
    beat = update(workers).where(workers.c.id == worker_id)
    with journal.connections.autocommit() as connection:
        connection.execute(beat.values(beat_at=workers.c.beat_at - int(seconds * MICROSECOND)))


def count(journal: Journal, table: str) -> int:
    """How many rows a table (`runs`, `steps`, ...) has."""
    with journal.connections.autocommit() as connection:
        chosen = getattr(journal.schema, table)
        return int(connection.execute(select(func.count()).select_from(chosen)).scalar_one())


def insert_rows(journal: Journal, table: str, rows: list[dict[str, Any]]) -> None:
    """Writes many rows at once."""
    with journal.connections.transaction() as connection:
        connection.execute(insert(getattr(journal.schema, table)), rows)


def analyze(journal: Journal) -> None:
    """Lets the database count its rows, as its own housekeeping would."""
    statement = {"sqlite": "ANALYZE", "postgresql": "ANALYZE"}.get(
        journal.connections.dialect,
        f"ANALYZE TABLE {journal.schema.runs.name}, {journal.schema.workers.name}",
    )
    with journal.connections.autocommit() as connection:
        connection.exec_driver_sql(statement)
