"""Runs that are started by runs: how a parent waits for them, and how they tell it that they are over.

A parent that waits names the places of the starts it waits for, and how many of them are still out. Each child, as it
ends, counts itself off in the parent's row and, if it was the last, queues the parent, all in the transaction that
records its own end: no wake-up is lost, and none comes twice. Every such transaction locks the parent before the child,
whether or not the parent waits, so that a parent which is about to wait either sees the end or is counted off by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, or_, select, update

from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import small_number
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.family.cascade import ITS_PARENT_IS_OVER, cancel_below
from aiki_celery.journal.family.followers import Followers
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus


class Tie(NamedTuple):
    """Who is to be told of a run's end: a run that has started or follows it, and the place of that in its record."""

    parent_id: str
    seq: int
    lane: int | None = None


class Family:
    """Counts children off, and queues who waited for them.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
    """

    def __init__(self, connections: Connections, schema: Schema, redelivery_after: float) -> None:
        self._connections = connections
        dialect = connections.engine.dialect
        self._returns = bool(dialect.update_returning)
        runs, gap = schema.runs, int(redelivery_after * MICROSECOND)
        self._gap = gap
        envelope_columns = [runs.c[name] for name in ENVELOPE_COLUMNS]
        counted = [*envelope_columns, runs.c.status, runs.c.await_count]
        place = bindparam("place", type_=small_number())
        is_awaited = place.between(runs.c.await_first, runs.c.await_last) & or_(
            runs.c.await_skip.is_(None), runs.c.await_skip.not_like(bindparam("pattern"))
        )
        is_waiting = runs.c.status == RunStatus.AWAITING_STEPS.value
        # Where nobody waits it changes nothing, but for the lock.
        count_off = (
            update(runs)
            .where(runs.c.id == bindparam("parent"))
            .values(
                await_count=case((is_waiting & is_awaited, runs.c.await_count - 1), else_=runs.c.await_count)
            )
        )
        self._count_off = Statement(count_off.returning(*counted) if self._returns else count_off, dialect)
        self._counted = Statement(select(*counted).where(runs.c.id == bindparam("parent")), dialect)
        self._next_in_lane = Statement(
            select(*envelope_columns)
            .where(
                runs.c.parent_id == bindparam("parent"),
                runs.c.status == RunStatus.SCHEDULED.value,
                runs.c.lane == bindparam("in_lane"),
                runs.c.due_at.is_(None),
            )
            .order_by(runs.c.parent_seq)
            .limit(1)
            .with_for_update(),
            dialect,
        )
        followers = schema.followers
        self._many = Followers(connections, schema, gap)
        self._followers = Statement(
            select(followers.c.parent_id, followers.c.parent_seq)
            .where(followers.c.run_id == bindparam("run"))
            # What was committed last, whatever the caller's transaction saw when it began.
            .with_for_update(read=True),
            dialect,
        )
        self._runs = runs
        self._queue = Statement(
            update(runs)
            .where(runs.c.id == bindparam("run"))
            .values(queued_again(runs, bindparam("why", type_=runs.c.history.type), gap)),
            dialect,
        )

    def followers(self, run_id: str, connection: Connection | None = None) -> list[Tie]:
        """Give the runs that have found this one by its reference id and wait, or will wait, for it."""

        def ties(over: Connection) -> list[Tie]:
            return [Tie(row.parent_id, row.parent_seq) for row in self._followers.run(over, run=run_id)]

        def work() -> list[Tie]:
            with self._connections.autocommit() as own:
                return ties(own)

        return self._connections.retrying(work) if connection is None else ties(connection)

    def count_off_all(self, connection: Connection, ties: Sequence[Tie]) -> list[Envelope]:
        """Tell several, in one order, so that no two ends wait for one another; see :meth:`count_off`."""
        ordered = sorted(ties, key=lambda tie: (tie.parent_id, tie.seq))
        return [woken for tie in ordered for woken in self.count_off(connection, *tie)]

    def close(self, connection: Connection, run_id: str) -> list[Envelope]:
        """Within the transaction that ends a run: cancel its children that end with it, and all that those started.

        Returns:
            What the messages of those runs are made from that go on because of it: to clean up, or to be told.
        """
        return self.cancel_below(connection, run_id, ITS_PARENT_IS_OVER, with_steps=False)

    def cancel_below(
        self, connection: Connection, run_id: str, reason: str, *, with_steps: bool
    ) -> list[Envelope]:
        """Cancel what ends with a run; see :func:`aiki_celery.journal.family.cascade.cancel_below`."""
        return cancel_below(
            connection, self._many, self._runs, run_id, reason=reason, gap=self._gap, with_steps=with_steps
        )

    def count_off(self, connection: Connection, parent_id: str, seq: int, lane: int | None) -> list[Envelope]:
        """Within the transaction that ends a child, and before its own row is touched: tell its parent and its lane.

        Args:
            connection: The transaction.
            parent_id: The parent.
            seq: Place of the child's start in the parent's record.
            lane: The child's lane, if it has one.

        Returns:
            What the messages of those runs are made from that go on now.
        """
        woken: list[Envelope] = []
        counted = self._count_off.run(connection, parent=parent_id, place=seq, pattern=f"%,{seq},%")
        parent = counted.first() if self._returns else self._counted.run(connection, parent=parent_id).first()
        if parent is not None and (parent.status, parent.await_count) == (RunStatus.AWAITING_STEPS.value, 0):
            self._queue.run(connection, run=parent_id, why="what it waited for is over")
            woken.append(envelope(parent))
        if lane is not None:
            waiting = self._next_in_lane.run(connection, parent=parent_id, in_lane=lane).first()
            if waiting is not None:
                self._queue.run(connection, run=waiting.id, why="its turn has come")
                woken.append(envelope(waiting))
        return woken
