"""Events, control, schedules: what a run may wait for, and what may be done to it."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from aiki_celery.journal.dialect import instant, key_text, payload_text, small_number
from aiki_celery.journal.migrations.operations import (
    add_column,
    add_index,
    add_table,
    drop_index,
    replace_index,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, tables and indexes."""
    schema = context.config.attributes["schema"]
    runs, namespace = f"{schema.prefix}runs", schema.schema
    for column in _run_columns():
        add_column(runs, column, namespace)
    # Children are found by their parent.
    drop_index(f"{runs}_closing", runs, namespace)
    # Those that were never published are found among any number that were.
    _waiting(runs, ["status", "published_at", "due_at", "queue"], namespace)
    _index(f"{runs}_deadline", runs, ["deadline_at"], namespace)
    _index(f"{runs}_planned", runs, ["schedule", "scheduled_for"], namespace, unique=True)
    events = f"{schema.prefix}events"
    add_table(
        events,
        *_event_columns(),
        sa.PrimaryKeyConstraint("run_id", "number", name=f"{events}_pk"),
        namespace=namespace,
    )
    add_index(f"{events}_once", events, ["run_id", "event_id"], namespace, unique=True)
    schedules = f"{schema.prefix}schedules"
    add_table(
        schedules,
        *_schedule_columns(),
        sa.PrimaryKeyConstraint("name", name=f"{schedules}_pk"),
        namespace=namespace,
    )
    _index(f"{schedules}_fires", schedules, ["fires_at"], namespace)


def downgrade() -> None:
    """Drop them, with every event and schedule."""
    schema = context.config.attributes["schema"]
    runs, namespace = f"{schema.prefix}runs", schema.schema
    op.drop_table(f"{schema.prefix}schedules", schema=namespace)
    op.drop_table(f"{schema.prefix}events", schema=namespace)
    op.drop_index(f"{runs}_planned", runs, schema=namespace)
    op.drop_index(f"{runs}_deadline", runs, schema=namespace)
    for column in _run_columns():
        op.drop_column(runs, column.name, schema=namespace)
    _waiting(runs, ["status", "queue"], namespace)
    _index(f"{runs}_closing", runs, ["on_close"], namespace)


def _run_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("events", small_number(), nullable=False, server_default="0"),
        sa.Column("await_events", payload_text()),
        sa.Column("control", key_text(8)),
        sa.Column("cancel_reason", payload_text()),
        sa.Column("cancelled_at", instant()),
        sa.Column("deadline_at", instant()),
        sa.Column("forked_from", key_text(155)),
        sa.Column("schedule", key_text(200)),
        sa.Column("scheduled_for", instant()),
        sa.Column("generation", small_number(), nullable=False, server_default="0"),
        sa.Column("base_seq", small_number(), nullable=False, server_default="0"),
        sa.Column("progress_note", payload_text()),
    ]


def _event_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("run_id", key_text(155), nullable=False),
        sa.Column("number", small_number(), nullable=False),
        sa.Column("name", key_text(100), nullable=False),
        sa.Column("event_id", key_text(200)),
        sa.Column("payload", payload_text(), nullable=False),
        sa.Column("sent_at", instant(), nullable=False),
    ]


def _schedule_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("name", key_text(200), nullable=False),
        sa.Column("workflow", key_text(100), nullable=False),
        sa.Column("timing", payload_text(), nullable=False),
        sa.Column("timezone", key_text(64), nullable=False),
        sa.Column("overlap", key_text(16), nullable=False),
        sa.Column("catchup_window", instant(), nullable=False),
        sa.Column("jitter", instant(), nullable=False),
        sa.Column("input", payload_text(), nullable=False),
        sa.Column("options", payload_text()),
        sa.Column("origin", key_text(8), nullable=False),
        sa.Column("fingerprint", key_text(40), nullable=False),
        sa.Column("paused_at", instant()),
        sa.Column("due_at", instant()),
        sa.Column("fires_at", instant()),
        sa.Column("last_due_at", instant()),
        sa.Column("last_run_id", key_text(155)),
        sa.Column("skip_note", payload_text()),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("updated_at", instant(), nullable=False),
    ]


def _index(name: str, table: str, columns: list[str], namespace: str | None, *, unique: bool = False) -> None:
    add_index(name, table, columns, namespace, where=f"{columns[0]} IS NOT NULL", unique=unique)


def _waiting(runs: str, columns: list[str], namespace: str | None) -> None:
    """Make the index of queued runs anew, with these columns."""
    replace_index(f"{runs}_waiting", runs, columns, namespace, where="status = 'queued'")
