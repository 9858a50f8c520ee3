"""Runs that are started by runs: remote steps and child workflows."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from aiki_celery.journal.dialect import instant, key_text, payload_text, small_number
from aiki_celery.journal.migrations.operations import add_column, add_index, add_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and indexes."""
    schema = context.config.attributes["schema"]
    runs, steps, namespace = f"{schema.prefix}runs", f"{schema.prefix}steps", schema.schema
    for column in _run_columns():
        add_column(runs, column, namespace)
    add_column(steps, sa.Column("child_id", key_text(155)), namespace)
    followers = f"{schema.prefix}followers"
    add_table(
        followers,
        sa.Column("run_id", key_text(155), nullable=False),
        sa.Column("parent_id", key_text(155), nullable=False),
        sa.Column("parent_seq", small_number(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "parent_id", "parent_seq", name=f"{followers}_pk"),
        namespace=namespace,
    )
    family = ["parent_id", "status", "parent_seq"]
    add_index(f"{runs}_family", runs, family, namespace, where="parent_id IS NOT NULL")
    add_index(f"{runs}_closing", runs, ["on_close"], namespace, where="on_close IS NOT NULL")


def downgrade() -> None:
    """Drop them, and every run that another one started."""
    schema = context.config.attributes["schema"]
    runs, steps, namespace = f"{schema.prefix}runs", f"{schema.prefix}steps", schema.schema
    table = sa.table(runs, sa.column("parent_id"), schema=namespace)
    op.execute(table.delete().where(table.c.parent_id.is_not(None)))
    op.drop_table(f"{schema.prefix}followers", schema=namespace)
    op.drop_index(f"{runs}_family", runs, schema=namespace)
    op.drop_index(f"{runs}_closing", runs, schema=namespace)
    for column in _run_columns():
        op.drop_column(runs, column.name, schema=namespace)
    op.drop_column(steps, "child_id", schema=namespace)


def _run_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("kind", key_text(8), nullable=False, server_default="workflow"),
        sa.Column("parent_id", key_text(155)),
        sa.Column("parent_seq", small_number()),
        sa.Column("on_close", key_text(8)),
        sa.Column("lane", small_number()),
        sa.Column("timeout", instant()),
        sa.Column("call", payload_text()),
        sa.Column("details", payload_text()),
        sa.Column("children", small_number(), nullable=False, server_default="0"),
        sa.Column("followers", small_number(), nullable=False, server_default="0"),
        sa.Column("await_first", small_number()),
        sa.Column("await_last", small_number()),
        sa.Column("await_skip", payload_text()),
        sa.Column("await_count", small_number()),
    ]
