"""The journal: runs, steps, history pages, workers."""

import sqlalchemy as sa
from alembic import context, op

from aiki_celery.journal.dialect import instant, key_text, payload_text, small_number
from aiki_celery.journal.migrations.operations import add_index, add_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    schema = context.config.attributes["schema"]
    prefix, namespace = schema.prefix, schema.schema
    runs = f"{prefix}runs"
    add_table(
        runs,
        sa.Column("id", key_text(155), nullable=False),
        sa.Column("workflow", key_text(100), nullable=False),
        sa.Column("version", key_text(32), nullable=False),
        sa.Column("definition", key_text(133), nullable=False),
        sa.Column("reference_id", key_text(200)),
        sa.Column("status", key_text(16), nullable=False),
        sa.Column("reason", payload_text()),
        sa.Column("epoch", small_number(), nullable=False),
        sa.Column("owner", key_text(64)),
        sa.Column("owner_pid", small_number()),
        sa.Column("claim_token", key_text(32)),
        sa.Column("attempt", small_number(), nullable=False),
        sa.Column("recoveries", small_number(), nullable=False),
        sa.Column("progress", small_number(), nullable=False),
        sa.Column("origin", key_text(8), nullable=False),
        sa.Column("queue", key_text(200)),
        sa.Column("priority", small_number()),
        sa.Column("request", payload_text()),
        sa.Column("tags", payload_text()),
        sa.Column("encoding", small_number(), nullable=False),
        sa.Column("input_hash", key_text(40), nullable=False),
        sa.Column("input", payload_text(), nullable=False),
        sa.Column("output", payload_text()),
        sa.Column("error", payload_text()),
        sa.Column("settlement", key_text(10)),
        sa.Column("due_at", instant()),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("queued_at", instant()),
        sa.Column("claimed_at", instant()),
        sa.Column("finished_at", instant()),
        sa.Column("published_at", instant()),
        sa.Column("deliveries", small_number(), nullable=False),
        sa.Column("history", payload_text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"{runs}_pk"),
        sa.UniqueConstraint("workflow", "reference_id", name=f"{runs}_reference"),
        namespace=namespace,
    )
    add_index(f"{runs}_due", runs, ["status", "due_at"], namespace, where="due_at IS NOT NULL")
    add_index(f"{runs}_owner", runs, ["owner"], namespace, where="owner IS NOT NULL")
    add_index(f"{runs}_waiting", runs, ["status", "queue"], namespace, where="status = 'queued'")
    add_index(f"{runs}_unsettled", runs, ["settlement"], namespace, where="settlement IS NOT NULL")
    add_index(f"{runs}_listed", runs, ["workflow", "created_at"], namespace)
    add_index(f"{runs}_created", runs, ["created_at"], namespace)
    steps = f"{prefix}steps"
    add_table(
        steps,
        sa.Column("run_id", key_text(155), nullable=False),
        sa.Column("seq", small_number(), nullable=False),
        sa.Column("kind", key_text(10), nullable=False),
        sa.Column("name", key_text(100), nullable=False),
        sa.Column("address", key_text(320), nullable=False),
        sa.Column("status", key_text(10), nullable=False),
        sa.Column("attempt", small_number(), nullable=False),
        sa.Column("epoch", small_number(), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
        sa.Column("finished_at", instant(), nullable=False),
        sa.Column("due_at", instant()),
        sa.Column("input", payload_text()),
        sa.Column("value", payload_text()),
        sa.PrimaryKeyConstraint("run_id", "seq", name=f"{steps}_pk"),
        namespace=namespace,
        sqlite_with_rowid=False,
    )
    add_table(
        f"{prefix}history",
        sa.Column("run_id", key_text(155), nullable=False),
        sa.Column("page", small_number(), nullable=False),
        sa.Column("lines", payload_text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "page", name=f"{prefix}history_pk"),
        namespace=namespace,
    )
    add_table(
        f"{prefix}workers",
        sa.Column("id", key_text(64), nullable=False),
        sa.Column("hostname", key_text(255), nullable=False),
        sa.Column("pid", small_number(), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
        sa.Column("beat_at", instant(), nullable=False),
        sa.Column("info", payload_text()),
        sa.PrimaryKeyConstraint("id", name=f"{prefix}workers_pk"),
        namespace=namespace,
    )


def downgrade() -> None:
    """Drop the tables, and every run with them."""
    schema = context.config.attributes["schema"]
    for table in ("workers", "history", "steps", "runs"):
        op.drop_table(f"{schema.prefix}{table}", schema=schema.schema)
