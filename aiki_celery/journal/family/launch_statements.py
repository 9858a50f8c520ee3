"""The statements of starting other runs, compiled once per journal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, insert, literal, null, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now, instant, small_number
from aiki_celery.journal.family.cascade import ITS_PARENT_IS_CANCELLED
from aiki_celery.journal.history import appended, first_line
from aiki_celery.journal.pass_statements import goes_on
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.starts import common_values
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.status import RunStatus

_STEP = (
    "run_id",
    "seq",
    "kind",
    "name",
    "address",
    "status",
    "attempt",
    "epoch",
    "started_at",
    "finished_at",
)
_FAMILY = ("kind", "parent_id", "parent_seq", "on_close", "lane", "timeout", "call")


class LaunchStatements:
    """The statements of starting other runs.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        dialect = connections.engine.dialect
        runs, steps = schema.runs, schema.steps
        count = runs.c.children + bindparam("launched", type_=small_number())
        self.grow = Statement(update(runs).where(*goes_on(runs)).values(children=count), dialect)
        self.wait = {
            status: Statement(
                update(runs)
                # An event that has come since the pass looked may be what it is about to wait for.
                .where(*goes_on(runs), runs.c.events <= bindparam("known", type_=small_number()))
                .values(
                    status=status.value,
                    reason=bindparam("note"),
                    due_at=bindparam("wake_at", type_=runs.c.due_at.type),
                    owner=null(),
                    owner_pid=null(),
                    claim_token=null(),
                    children=count,
                    await_first=bindparam("first", type_=small_number()),
                    await_last=bindparam("last", type_=small_number()),
                    await_skip=bindparam("skip", type_=runs.c.await_skip.type),
                    await_count=bindparam("out", type_=small_number()),
                    await_events=bindparam("wanted", type_=runs.c.await_events.type),
                    history=appended(runs.c.history, status, bindparam("why", type_=runs.c.history.type)),
                ),
                dialect,
            )
            for status in (RunStatus.AWAITING_STEPS, RunStatus.AWAITING_EVENT)
        }
        self.fewer = Statement(
            update(runs)
            .where(runs.c.id == bindparam("run"))
            .values(
                await_count=bindparam("out", type_=small_number()),
                await_events=bindparam("wanted", type_=runs.c.await_events.type),
            ),
            dialect,
        )
        names = (*_STEP, "due_at", "child_id")
        self.record = Statement(insert(steps).values({name: bindparam(name) for name in names}), dialect)
        self.written = Statement(
            select(steps.c.child_id).where(
                steps.c.run_id == bindparam("run_id"), steps.c.seq == bindparam("seq")
            ),
            dialect,
        )
        common = common_values(runs) | {name: bindparam(name, type_=runs.c[name].type) for name in _FAMILY}
        gap = literal(int(redelivery_after * MICROSECOND), instant())
        self.queued = Statement(
            insert(runs).values(
                **common,
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                published_at=db_now(),
                due_at=db_now() + gap,
                deliveries=1,
                history=first_line(RunStatus.QUEUED, "started by its parent"),
            ),
            dialect,
        )
        # Until the broker has it, like a run whose message was not accepted.
        self.foreign = Statement(
            insert(runs).values(
                **common,
                status=RunStatus.QUEUED.value,
                queued_at=db_now(),
                due_at=db_now() + gap,
                deliveries=0,
                history=first_line(RunStatus.QUEUED, "started by its parent, for another service"),
            ),
            dialect,
        )
        # Of a run that was cancelled before it could write them: as if they had been cancelled with it.
        self.cancelled = Statement(
            insert(runs).values(
                **common,
                status=RunStatus.CANCELLED.value,
                reason=ITS_PARENT_IS_CANCELLED,
                cancel_reason=ITS_PARENT_IS_CANCELLED,
                cancelled_at=db_now(),
                finished_at=db_now(),
                deliveries=0,
                history=first_line(RunStatus.CANCELLED, f"never sent: {ITS_PARENT_IS_CANCELLED}"),
            ),
            dialect,
        )
        waiting = common | {"status": RunStatus.SCHEDULED.value, "deliveries": 0}
        self.held = Statement(
            insert(runs).values(**waiting, history=first_line(RunStatus.SCHEDULED, "waits for its turn")),
            dialect,
        )
        self.delayed = Statement(
            insert(runs).values(
                **waiting,
                due_at=db_now() + bindparam("delay", type_=instant()),
                history=first_line(RunStatus.SCHEDULED, "started with a delay"),
            ),
            dialect,
        )


def awaited_columns(places: set[int]) -> dict[str, Any]:
    """Give the parameters that name the places of the starts that are waited for."""
    if not places:
        return {"first": None, "last": None, "skip": None}
    first, last = min(places), max(places)
    skip = [seq for seq in range(first, last + 1) if seq not in places]
    return {"first": first, "last": last, "skip": f",{','.join(map(str, skip))}," if skip else None}
