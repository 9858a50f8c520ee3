"""Cancelling runs, from outside: each in one transaction, whatever the run is doing.

A run that somebody holds is only asked; its next write is refused, and the pass heeds (see ``obedience.py``). One that
nobody holds is queued, so that its code can clean up. One without code that could is cancelled at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, select, update

from aiki_celery.errors import RunFinished, RunNotFound
from aiki_celery.journal.asked import CANCEL
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.family.cascade import (
    ITS_PARENT_IS_CANCELLED,
    asked_to_end,
    cancelled,
    ends_at_once,
    queued_to_end,
)
from aiki_celery.journal.family.family import Family, Tie
from aiki_celery.journal.schema import Schema
from aiki_celery.journal.statement import Statement
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunStatus
from aiki_celery.model.storable_text import storable

T = TypeVar("T")

_FACTS = (
    *("status", "epoch", "control", "cancelled_at", "due_at", "parent_id", "parent_seq", "lane"),
    *("children", "followers"),
)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What became of something that a run was asked for.

    Attributes:
        is_new: Whether it makes a difference: the run had not been asked for the same before.
        workflow: Name of the run's workflow.
        envelopes: What the messages of those runs are made from that go on because of it.
    """

    is_new: bool
    workflow: str = ""
    envelopes: list[Envelope] = field(default_factory=list)


class Control:
    """Cancels runs; what the other verbs share.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
        family: Tells who waits for a run that it is over.
    """

    def __init__(
        self, connections: Connections, schema: Schema, redelivery_after: float, family: Family
    ) -> None:
        self._connections = connections
        self._family = family
        self._runs = schema.runs
        self._gap = int(redelivery_after * MICROSECOND)
        runs, dialect = schema.runs, connections.engine.dialect
        facts = [runs.c[name] for name in (*ENVELOPE_COLUMNS, *_FACTS)]
        found = select(*facts, db_now().label("now")).where(runs.c.id == bindparam("run"))
        self._look = Statement(found, dialect)
        self._lock = Statement(found.with_for_update(), dialect)

    def cancel(self, run_id: str, reason: str = "", *, force: bool = False) -> Acknowledged:
        """Cancel a run; see :meth:`cancel_on`.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over, and was not cancelled.
        """
        return self.retrying(
            lambda connection, is_again: self.cancel_on(
                connection, run_id, reason, force=force, is_again=is_again
            )
        )

    def cancel_on(
        self,
        connection: Connection,
        run_id: str,
        reason: str = "",
        *,
        force: bool = False,
        is_again: bool = False,
    ) -> Acknowledged:
        """Within a transaction: cancel a run and what it has started. Messages are sent when that is committed.

        Args:
            connection: The transaction.
            run_id: The run.
            reason: Why, for people.
            force: Cancel it at once, without its code cleaning up.
            is_again: Whether an earlier try may have been committed and its answer lost.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over, and was not cancelled.
        """
        reason = storable(reason)
        run = self._look.run(connection, run=run_id).first()
        if run is not None and (force or ends_at_once(run)):
            # Who is told of its end is locked before it.
            self._lock_all(connection, [tie.parent_id for tie in self._ties(connection, run)])
        run = self.lock(connection, run_id)
        if run.status == RunStatus.CANCELLED.value:
            return Acknowledged(is_again, run.workflow)
        if RunStatus(run.status).is_terminal:
            raise RunFinished(run_id, run.status)
        if force or ends_at_once(run):
            envelopes = self._family.count_off_all(connection, self._ties(connection, run))
            self.change(connection, run_id, cancelled(self._runs, reason))
        elif run.status == RunStatus.STALLED.value and run.control == CANCEL:
            # It stalled before it heeded the first one. What it has started was cancelled with that.
            self.change(connection, run_id, queued_to_end(self._runs, reason, self._gap))
            return Acknowledged(True, run.workflow, [envelope(run)])
        elif run.cancelled_at is not None:
            return self._asked_before(run, is_again)
        else:
            envelopes = self._ask(connection, run, reason)
        if run.children:
            envelopes += self._family.cancel_below(
                connection, run_id, ITS_PARENT_IS_CANCELLED, with_steps=True
            )
        return Acknowledged(True, run.workflow, envelopes)

    def lock(self, connection: Connection, run_id: str) -> Row[Any]:
        """Within a transaction: lock a run, and give what it is doing.

        Raises:
            RunNotFound: There is no run with this id.
        """
        run = self._lock.run(connection, run=run_id).first()
        if run is None:
            raise RunNotFound(run_id)
        return run

    def change(self, connection: Connection, run_id: str, values: dict[str, Any]) -> None:
        """Within a transaction that has locked a run: set these columns of it."""
        connection.execute(update(self._runs).where(self._runs.c.id == run_id).values(**values))

    def retrying(self, work: Callable[[Connection, bool], T]) -> T:
        """Do work in a transaction, and again if it is lost; the work is told whether it is done again."""
        tries = 0

        def once() -> T:
            nonlocal tries
            tries += 1
            with self._connections.transaction() as connection:
                return work(connection, tries > 1)

        return self._connections.retrying(once)

    def _ask(self, connection: Connection, run: Row[Any], reason: str) -> list[Envelope]:
        """Ask a run to end. If nobody holds it and no message about it is on its way, one is to be sent."""
        values = asked_to_end(reason)
        if run.status in (RunStatus.RUNNING.value, RunStatus.QUEUED.value):
            self.change(connection, run.id, values)
            return []
        self.change(connection, run.id, values | queued_to_end(self._runs, reason, self._gap))
        return [envelope(run)]

    def _asked_before(self, run: Row[Any], is_again: bool) -> Acknowledged:
        """Give what a second cancel does, which may be the first one tried again."""
        is_waiting = is_again and run.status == RunStatus.QUEUED.value
        return Acknowledged(is_again, run.workflow, [envelope(run)] if is_waiting else [])

    def _ties(self, connection: Connection, run: Row[Any]) -> list[Tie]:
        """Give who waits, or may wait, for a run."""
        # One that waits for its turn has none to pass on.
        is_held = run.status == RunStatus.SCHEDULED.value and run.due_at is None
        lane = None if is_held else run.lane
        own = [] if run.parent_id is None else [Tie(run.parent_id, run.parent_seq, lane)]
        return own + (self._family.followers(run.id, connection) if run.followers else [])

    def _lock_all(self, connection: Connection, run_ids: list[str]) -> None:
        for run_id in sorted(set(run_ids)):
            self._lock.run(connection, run=run_id)
