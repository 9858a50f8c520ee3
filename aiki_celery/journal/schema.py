"""The journal's tables. Private to this package: nobody outside names a column."""

from __future__ import annotations

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint, text

from aiki_celery.journal.dialect import instant, key_text, payload_text, small_number
from aiki_celery.journal.schedules_table import schedules_table

#: What Alembic's table of versions is called, after the prefix.
VERSION_TABLE = "schema_version"


class Schema:
    """The tables under one prefix, in one database schema.

    Args:
        prefix: What table names begin with.
        schema: Database schema, or None for the connection's own.
    """

    def __init__(self, prefix: str = "aiki_", schema: str | None = None) -> None:
        self.prefix = prefix
        self.schema = schema
        self.metadata = MetaData(schema=schema)
        self.runs = self._runs()
        self.steps = self._steps()
        self.history_pages = self._history_pages()
        self.followers = self._followers()
        self.events = self._events()
        self.schedules = schedules_table(self.metadata, self.prefix)
        self.workers = self._workers()
        self.version_table = f"{prefix}{VERSION_TABLE}"

    def _runs(self) -> Table:
        name = f"{self.prefix}runs"
        table = Table(
            name,
            self.metadata,
            Column("id", key_text(155), nullable=False),
            Column("workflow", key_text(100), nullable=False),
            Column("version", key_text(32), nullable=False),
            Column("definition", key_text(133), nullable=False),
            Column("reference_id", key_text(200)),
            Column("status", key_text(16), nullable=False),
            Column("reason", payload_text()),
            Column("epoch", small_number(), nullable=False),
            Column("owner", key_text(64)),
            Column("owner_pid", small_number()),
            Column("claim_token", key_text(32)),
            Column("attempt", small_number(), nullable=False),
            Column("recoveries", small_number(), nullable=False),
            Column("progress", small_number(), nullable=False),
            Column("origin", key_text(8), nullable=False),
            Column("queue", key_text(200)),
            Column("priority", small_number()),
            Column("request", payload_text()),
            Column("tags", payload_text()),
            Column("encoding", small_number(), nullable=False),
            Column("input_hash", key_text(40), nullable=False),
            Column("input", payload_text(), nullable=False),
            Column("output", payload_text()),
            Column("error", payload_text()),
            Column("settlement", key_text(10)),
            Column("due_at", instant()),
            Column("created_at", instant(), nullable=False),
            Column("queued_at", instant()),
            Column("claimed_at", instant()),
            Column("finished_at", instant()),
            Column("published_at", instant()),
            Column("deliveries", small_number(), nullable=False),
            Column("history", payload_text(), nullable=False),
            # What a run is of: a workflow, or a step that was sent to a queue of its own.
            Column("kind", key_text(8), nullable=False, server_default="workflow"),
            # Of a run that another one started: that run, and the place of the start in its record.
            Column("parent_id", key_text(155)),
            Column("parent_seq", small_number()),
            Column("on_close", key_text(8)),
            Column("lane", small_number()),
            Column("timeout", instant()),
            Column("call", payload_text()),
            Column("details", payload_text()),
            # Of a run that started others: how many, and which of them it waits for.
            Column("children", small_number(), nullable=False, server_default="0"),
            Column("followers", small_number(), nullable=False, server_default="0"),
            Column("await_first", small_number()),
            Column("await_last", small_number()),
            Column("await_skip", payload_text()),
            Column("await_count", small_number()),
            # Of events: how many it has received, and which it waits for, as JSON: how many more by their names.
            Column("events", small_number(), nullable=False, server_default="0"),
            Column("await_events", payload_text()),
            # What it has been asked for while it runs, pause or cancel; why and when it was cancelled.
            Column("control", key_text(8)),
            Column("cancel_reason", payload_text()),
            Column("cancelled_at", instant()),
            Column("deadline_at", instant()),
            # Where it comes from: another run's record, or a schedule and the time it was due.
            Column("forked_from", key_text(155)),
            Column("schedule", key_text(200)),
            Column("scheduled_for", instant()),
            # Of a run that went on as new: how often, and after which place its record begins.
            Column("generation", small_number(), nullable=False, server_default="0"),
            Column("base_seq", small_number(), nullable=False, server_default="0"),
            Column("progress_note", payload_text()),
            PrimaryKeyConstraint("id", name=f"{name}_pk"),
            UniqueConstraint("workflow", "reference_id", name=f"{name}_reference"),
        )
        columns = table.c
        self._index(table, "due", columns.status, columns.due_at, where=columns.due_at.is_not(None))
        self._index(table, "owner", columns.owner, where=columns.owner.is_not(None))
        queued = columns.status, columns.published_at, columns.due_at, columns.queue
        self._index(table, "waiting", *queued, where=text("status = 'queued'"))
        self._index(table, "unsettled", columns.settlement, where=columns.settlement.is_not(None))
        self._index(table, "listed", columns.workflow, columns.created_at)
        self._index(table, "created", columns.created_at)
        family = columns.parent_id, columns.status, columns.parent_seq
        self._index(table, "family", *family, where=columns.parent_id.is_not(None))
        self._index(table, "deadline", columns.deadline_at, where=columns.deadline_at.is_not(None))
        planned = columns.schedule, columns.scheduled_for
        self._index(table, "planned", *planned, where=columns.schedule.is_not(None), unique=True)
        return table

    def _steps(self) -> Table:
        name = f"{self.prefix}steps"
        return Table(
            name,
            self.metadata,
            Column("run_id", key_text(155), nullable=False),
            Column("seq", small_number(), nullable=False),
            Column("kind", key_text(10), nullable=False),
            Column("name", key_text(100), nullable=False),
            Column("address", key_text(320), nullable=False),
            Column("status", key_text(10), nullable=False),
            Column("attempt", small_number(), nullable=False),
            Column("epoch", small_number(), nullable=False),
            Column("started_at", instant(), nullable=False),
            Column("finished_at", instant(), nullable=False),
            Column("due_at", instant()),
            Column("input", payload_text()),
            Column("value", payload_text()),
            Column("child_id", key_text(155)),
            PrimaryKeyConstraint("run_id", "seq", name=f"{name}_pk"),
            # Rows of a run lie side by side, and each is written once.
            sqlite_with_rowid=False,
        )

    def _history_pages(self) -> Table:
        name = f"{self.prefix}history"
        return Table(
            name,
            self.metadata,
            Column("run_id", key_text(155), nullable=False),
            Column("page", small_number(), nullable=False),
            Column("lines", payload_text(), nullable=False),
            PrimaryKeyConstraint("run_id", "page", name=f"{name}_pk"),
        )

    def _followers(self) -> Table:
        name = f"{self.prefix}followers"
        return Table(
            name,
            self.metadata,
            Column("run_id", key_text(155), nullable=False),
            Column("parent_id", key_text(155), nullable=False),
            Column("parent_seq", small_number(), nullable=False),
            PrimaryKeyConstraint("run_id", "parent_id", "parent_seq", name=f"{name}_pk"),
        )

    def _events(self) -> Table:
        name = f"{self.prefix}events"
        table = Table(
            name,
            self.metadata,
            Column("run_id", key_text(155), nullable=False),
            Column("number", small_number(), nullable=False),
            Column("name", key_text(100), nullable=False),
            # The sender's own name for it, under which it counts once.
            Column("event_id", key_text(200)),
            Column("payload", payload_text(), nullable=False),
            Column("sent_at", instant(), nullable=False),
            PrimaryKeyConstraint("run_id", "number", name=f"{name}_pk"),
        )
        self._index(table, "once", table.c.run_id, table.c.event_id, unique=True)
        return table

    def _workers(self) -> Table:
        name = f"{self.prefix}workers"
        return Table(
            name,
            self.metadata,
            Column("id", key_text(64), nullable=False),
            Column("hostname", key_text(255), nullable=False),
            Column("pid", small_number(), nullable=False),
            Column("started_at", instant(), nullable=False),
            Column("beat_at", instant(), nullable=False),
            Column("info", payload_text()),
            PrimaryKeyConstraint("id", name=f"{name}_pk"),
        )

    def _index(
        self, table: Table, name: str, *columns: Column[object], where: object = None, unique: bool = False
    ) -> None:
        """Add an index, partial where the database has partial indexes."""
        options = {} if where is None else {"postgresql_where": where, "sqlite_where": where}
        Index(f"{table.name}_{name}", *columns, unique=unique, **options)  # type: ignore[arg-type]
