"""Making a run from a part of another one's record.

The origin's row is locked first, so nothing is recorded, and none of its children ends with it, while its record is
copied. What it has started and is not over is followed, as a child that was found by its reference id is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, literal, null, select, update
from sqlalchemy.exc import IntegrityError

from aiki_celery.errors import ReferenceConflict, RunNotFound
from aiki_celery.journal.batches import batches
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now, instant
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.family.cascade import ITS_PARENT_IS_CANCELLED, ITS_PARENT_IS_OVER
from aiki_celery.journal.history import clean, first_line
from aiki_celery.journal.renewals import PARENT_IS_NEW
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.fork import ForkPlan, Marker
from aiki_celery.model.records import Envelope, definition_name
from aiki_celery.model.status import RunKind, RunStatus, StepKind, StepStatus

#: Why a run was cancelled that ended because of the one that had started it, and not for a reason of its own.
ENDED_WITH_PARENT = frozenset({ITS_PARENT_IS_OVER, ITS_PARENT_IS_CANCELLED, PARENT_IS_NEW})

#: What a fork has of its origin as it is.
_SAME = (
    *("workflow", "priority", "tags", "encoding", "input_hash", "input", "scheduled_for"),
    *("generation", "base_seq"),
)


class OriginChanged(Exception):
    """The origin has gone on as new, or children of it were cancelled, since the plan was made: make another one."""


class Forks:
    """Makes runs from the records of others.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        self._runs, self._steps = schema.runs, schema.steps
        self._events, self._followers = schema.events, schema.followers
        self._gap = int(redelivery_after * MICROSECOND)

    def base_of(self, run_id: str) -> tuple[int, str | None]:
        """Give the place after which a run's record begins, and who made what is in it, as JSON text."""
        runs = self._runs
        found = self._connections.read(select(runs.c.base_seq, runs.c.call).where(runs.c.id == run_id))
        if not found:
            raise RunNotFound(run_id)
        return int(found[0].base_seq), found[0].call

    def fork(self, plan: ForkPlan) -> Envelope:
        """Write a fork, and give what its message is made from.

        Raises:
            RunNotFound: There is no such origin.
            OriginChanged: The plan does not fit any more; nothing was written.
            ReferenceConflict: The reference id is taken; nothing was written.
        """

        def work() -> Envelope:
            try:
                with self._connections.transaction() as connection:
                    self._lock(connection, plan)
                    live = self._live(connection, plan)
                    self._write(connection, plan)
                    self._follow(connection, plan, live)
            except IntegrityError:
                self._check_reference(plan)  # else an earlier try was committed and its answer lost
            return self._written(plan)

        return self._connections.retrying(work)

    def _lock(self, connection: Connection, plan: ForkPlan) -> None:
        runs = self._runs
        look = select(runs.c.generation).where(runs.c.id == plan.origin_id).with_for_update()
        found = connection.execute(look).first()
        if found is None:
            raise RunNotFound(plan.origin_id)
        if found.generation != plan.generation:
            raise OriginChanged

    def _live(self, connection: Connection, plan: ForkPlan) -> list[str]:
        """Lock those of the followed runs that are not over, and give their ids."""
        if not plan.followed:
            return []
        runs, facts = self._runs, (self._runs.c.id, self._runs.c.cancel_reason)
        live: list[str] = []
        for ids in batches(sorted(plan.followed)):
            look = select(*facts).where(runs.c.id.in_(ids), runs.c.finished_at.is_(None)).order_by(runs.c.id)
            rows = list(connection.execute(look.with_for_update()).all())
            live += [row.id for row in rows]
            over = set(ids).difference(live)
            if over:
                rows += connection.execute(select(*facts).where(runs.c.id.in_(over))).all()
            if any(row.cancel_reason in ENDED_WITH_PARENT for row in rows):
                raise OriginChanged
        return live

    def _write(self, connection: Connection, plan: ForkPlan) -> None:
        runs, steps = self._runs, self._steps
        values: dict[str, Any] = {name: runs.c[name] for name in _SAME} | self._own_values(plan)
        self._copy(connection, runs, values, runs.c.id == plan.origin_id)
        # No claim of the fork has made these: that is epoch 0.
        record: dict[str, Any] = {column.name: column for column in steps.c}
        record |= {"run_id": literal(plan.run_id), "epoch": literal(0)}
        self._copy(connection, steps, record, (steps.c.run_id == plan.origin_id) & (steps.c.seq < plan.cut))
        if plan.marker is not None:
            connection.execute(insert(steps).values(self._marker(plan, plan.marker)))
        events = self._events
        received: dict[str, Any] = {column.name: column for column in events.c}
        received["run_id"] = literal(plan.run_id)
        for name, last in plan.consumed.items():
            consumed = (events.c.name == name) & (events.c.number <= last)
            self._copy(connection, events, received, (events.c.run_id == plan.origin_id) & consumed)

    def _copy(self, connection: Connection, table: Any, values: Mapping[str, Any], which: Any) -> None:
        chosen = [value.label(name) for name, value in values.items()]
        connection.execute(insert(table).from_select(list(values), select(*chosen).where(which)))

    def _own_values(self, plan: ForkPlan) -> dict[str, Any]:
        """Give what the fork's row has of its own."""
        runs = self._runs
        why = f"forked from {plan.origin_id} before place {plan.cut}"
        facts: dict[str, Any] = {
            "id": plan.run_id,
            "forked_from": plan.origin_id,
            "reference_id": plan.reference_id,
            "version": plan.version,
            "status": RunStatus.QUEUED.value,
            "kind": RunKind.WORKFLOW.value,
            "origin": "journal",
            "epoch": 0,
            "attempt": plan.attempt,
            "recoveries": 0,
            "progress": plan.cut - 1,
            "children": plan.starts,
            "followers": 0,
            "events": max(plan.consumed.values(), default=0),
            "deliveries": 1,
            "call": plan.call,
        }
        values: dict[str, Any] = {
            name: null() if fact is None else literal(fact, runs.c[name].type) for name, fact in facts.items()
        }
        return values | {
            "definition": runs.c.workflow + literal(definition_name("", plan.version)),
            "queue": runs.c.queue if plan.queue is None else literal(plan.queue),
            "created_at": db_now(),
            "queued_at": db_now(),
            "published_at": db_now(),
            "due_at": db_now() + literal(self._gap, instant()),
            "history": first_line(RunStatus.QUEUED, clean(why)),
        }

    def _marker(self, plan: ForkPlan, marker: Marker) -> dict[str, Any]:
        return {
            "run_id": plan.run_id,
            "seq": plan.cut,
            "kind": StepKind.RETRY.value,
            "name": marker.name,
            "address": "retry",
            "status": StepStatus.FAILED.value,
            "attempt": plan.attempt,
            "epoch": 0,
            "started_at": db_now(),
            "finished_at": db_now(),
            "value": marker.value,
        }

    def _follow(self, connection: Connection, plan: ForkPlan, live: list[str]) -> None:
        """Let the fork be told when what it has taken over from the origin's record is over."""
        rows = [
            {"run_id": run_id, "parent_id": plan.run_id, "parent_seq": place}
            for run_id in live
            for place in plan.followed[run_id]
        ]
        if rows:
            connection.execute(insert(self._followers), rows)
        runs = self._runs
        for more in {len(plan.followed[run_id]) for run_id in live}:
            for ids in batches([run_id for run_id in live if len(plan.followed[run_id]) == more]):
                counted = {"followers": runs.c.followers + more}
                connection.execute(update(runs).where(runs.c.id.in_(ids)).values(**counted))

    def _written(self, plan: ForkPlan) -> Envelope:
        columns = [self._runs.c[name] for name in ENVELOPE_COLUMNS]
        query = select(*columns).where(self._runs.c.id == plan.run_id)
        return envelope(self._connections.read(query)[0])

    def _check_reference(self, plan: ForkPlan) -> None:
        """After a write that a constraint has refused: find out which.

        Raises:
            ReferenceConflict: The reference id is taken.
        """
        runs = self._runs
        own = select(runs.c.workflow).where(runs.c.id == plan.run_id)
        if self._connections.read(own):
            return
        origin = select(runs.c.workflow).where(runs.c.id == plan.origin_id).scalar_subquery()
        taken = select(runs.c.workflow, runs.c.id).where(
            runs.c.workflow == origin, runs.c.reference_id == plan.reference_id
        )
        found = self._connections.read(taken)
        if not found:
            raise OriginChanged
        raise ReferenceConflict(found[0].workflow, plan.reference_id or "", found[0].id, is_fork=True)
