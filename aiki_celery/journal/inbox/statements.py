"""The statements of sending and reading events, compiled once per journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, insert, null, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now, reads_the_past, small_number
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.received import Received

#: Name of what is left of an event that a token has sent, once it was consumed and the run went on as new: the token is
#: known to be used until it expires, which is what ``sent_at`` tells then.
SPENT = ""


class InboxStatements:
    """The statements of the inbox.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        dialect = connections.engine.dialect
        runs, events = schema.runs, schema.events
        self._runs = runs
        facts = (runs.c.status, runs.c.events, runs.c.await_events, runs.c.await_count)
        this_run, its_events = runs.c.id == bindparam("run"), events.c.run_id == bindparam("run")
        self.lock = Statement(
            select(*(runs.c[name] for name in ENVELOPE_COLUMNS), *facts).where(this_run).with_for_update(),
            dialect,
        )
        names = ("run_id", "number", "name", "event_id", "payload")
        given = {name: bindparam(name, type_=events.c[name].type) for name in names}
        earlier = events.alias("earlier")
        # Not left to the constraint: its error would end the transaction, which may be the sender's own.
        is_known = exists().where(
            earlier.c.run_id == given["run_id"], earlier.c.event_id == given["event_id"]
        )
        row = select(*(value.label(name) for name, value in given.items()), db_now().label("sent_at"))
        self.insert = Statement(
            insert(events).from_select(
                [*names, "sent_at"], row.select_from(runs).where(runs.c.id == given["run_id"], ~is_known)
            ),
            dialect,
        )
        number = {"events": bindparam("number", type_=small_number())}
        self.received = Statement(update(runs).where(this_run).values(**number), dialect)
        self.counted = Statement(
            update(runs)
            .where(this_run)
            .values(
                **number,
                await_count=bindparam("left", type_=small_number()),
                await_events=bindparam("wanted", type_=runs.c.await_events.type),
            ),
            dialect,
        )
        self.woken = Statement(
            update(runs)
            .where(this_run)
            .values(
                **number,
                **queued_again(
                    runs, bindparam("why", type_=runs.c.history.type), int(redelivery_after * MICROSECOND)
                ),
                await_count=0,
                await_events=null(),
            ),
            dialect,
        )
        known = select(events.c.number).where(its_events, events.c.event_id == bindparam("event_id"))
        count = select(func.count()).select_from(events).where(its_events, events.c.name != SPENT)
        if reads_the_past(dialect.name):
            # What was committed before the run was locked, whatever the sender's transaction saw when it began.
            known, count = known.with_for_update(read=True), count.with_for_update(read=True)
        self.known = Statement(known, dialect)
        self.count = Statement(count, dialect)
        self.read = Statement(
            select(*(events.c[name] for name in Received._fields))
            .where(its_events, events.c.number > bindparam("after"), events.c.name != SPENT)
            .order_by(events.c.number),
            dialect,
        )

    def by_reference(self, workflow: str, reference_ids: Sequence[str]) -> Select[Any]:
        """Give the query of the runs that have these reference ids."""
        runs = self._runs
        return select(runs.c.id, runs.c.reference_id).where(
            runs.c.workflow == workflow, runs.c.reference_id.in_(list(reference_ids))
        )
