"""The statements of starting other runs, compiled once per journal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, insert, literal, null, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now, instant, small_number
from aiki_celery.journal.history import appended, first_line
from aiki_celery.journal.pass_statements import is_held
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.starts import COMMON
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
        self.grow = Statement(update(runs).where(*is_held(runs)).values(children=count), dialect)
        self.wait = Statement(
            update(runs)
            .where(*is_held(runs))
            .values(
                status=RunStatus.AWAITING_STEPS.value,
                reason=bindparam("note"),
                due_at=null(),
                owner=null(),
                owner_pid=null(),
                claim_token=null(),
                children=count,
                await_first=bindparam("first", type_=small_number()),
                await_last=bindparam("last", type_=small_number()),
                await_skip=bindparam("skip", type_=runs.c.await_skip.type),
                await_count=bindparam("out", type_=small_number()),
                history=appended(
                    runs.c.history, RunStatus.AWAITING_STEPS, bindparam("why", type_=runs.c.history.type)
                ),
            ),
            dialect,
        )
        self.fewer = Statement(
            update(runs)
            .where(runs.c.id == bindparam("run"))
            .values(await_count=bindparam("out", type_=small_number())),
            dialect,
        )
        names = (*_STEP, "child_id")
        self.record = Statement(insert(steps).values({name: bindparam(name) for name in names}), dialect)
        self.written = Statement(
            select(steps.c.child_id).where(
                steps.c.run_id == bindparam("run_id"), steps.c.seq == bindparam("seq")
            ),
            dialect,
        )
        common: dict[str, Any] = {
            name: bindparam(name, type_=runs.c[name].type) for name in (*COMMON, *_FAMILY)
        }
        common |= {"epoch": 0, "attempt": 1, "recoveries": 0, "progress": 0, "created_at": db_now()}
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
