"""The table of schedules. Private to this package, like the rest of the schema."""

from __future__ import annotations

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table

from aiki_celery.journal.dialect import instant, key_text, payload_text


def schedules_table(metadata: MetaData, prefix: str) -> Table:
    """Give the table of schedules."""
    name = f"{prefix}schedules"
    table = Table(
        name,
        metadata,
        Column("name", key_text(200), nullable=False),
        Column("workflow", key_text(100), nullable=False),
        # When it is due, as JSON, and where that is told.
        Column("timing", payload_text(), nullable=False),
        Column("timezone", key_text(64), nullable=False),
        Column("overlap", key_text(16), nullable=False),
        Column("catchup_window", instant(), nullable=False),
        Column("jitter", instant(), nullable=False),
        Column("input", payload_text(), nullable=False),
        # Options of each start, as JSON.
        Column("options", payload_text()),
        # Whether code declares it or it was made at run time; and what the code that declared it was.
        Column("origin", key_text(8), nullable=False),
        Column("fingerprint", key_text(40), nullable=False),
        Column("paused_at", instant()),
        # The next time it is due, and when that is acted on; none when it is paused or has no more.
        Column("due_at", instant()),
        Column("fires_at", instant()),
        Column("last_due_at", instant()),
        Column("last_run_id", key_text(155)),
        # The last due times for which no run was started, and why, as JSON.
        Column("skip_note", payload_text()),
        Column("created_at", instant(), nullable=False),
        Column("updated_at", instant(), nullable=False),
        PrimaryKeyConstraint("name", name=f"{name}_pk"),
    )
    fires = table.c.fires_at.is_not(None)
    Index(f"{name}_fires", table.c.fires_at, postgresql_where=fires, sqlite_where=fires)
    return table
