"""Taking runs away from owners that are gone."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, func, literal, select, update

from aiki_celery.journal.connections import RETRY_FOR, Connections
from aiki_celery.journal.dialect import db_now
from aiki_celery.journal.envelopes import ENVELOPE_COLUMNS, envelope
from aiki_celery.journal.family.family import Family, Tie
from aiki_celery.journal.history import appended, clean
from aiki_celery.journal.queueing import queued_again
from aiki_celery.journal.schema import Schema
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.records import Envelope
from aiki_celery.model.status import RunKind, RunStatus

#: Most runs of one worker that are freed at once.
MOST = 1000


class Recovery:
    """Frees the runs of dead workers and dead processes.

    A crash costs no attempt. It is counted apart: ``recoveries`` is the number of crashes in a row without a new
    record, and at ``max_recoveries`` the run is stalled, so that a run which kills its worker cannot do so for
    ever.

    Args:
        connections: The database.
        schema: The tables.
        redelivery_after: Seconds after which a run that nobody took is published again.
        max_recoveries: Crashes in a row without progress that stall a run.
        family: Tells a parent that a run it started is over.
    """

    def __init__(
        self,
        connections: Connections,
        schema: Schema,
        redelivery_after: float,
        max_recoveries: int,
        family: Family,
    ) -> None:
        self._family = family
        self._connections = connections
        self._runs, self._steps, self._workers = schema.runs, schema.steps, schema.workers
        self._gap = int(redelivery_after * MICROSECOND)
        self._max_recoveries = max_recoveries

    def free_dead_workers(self, ttl: float, limit: int) -> tuple[list[Envelope], list[Envelope]]:
        """Free the runs of workers that have not been heard of for ``ttl`` seconds.

        Returns:
            What the messages of the freed runs are made from, and the runs that were stalled instead.

        Raises:
            JournalUnavailable: It is not waited for: while the database is away, nobody is heard of.
        """
        runs, workers = self._runs, self._workers
        alive = exists().where(
            workers.c.id == runs.c.owner, workers.c.beat_at > db_now() - int(ttl * MICROSECOND)
        )
        return self._free([~alive], "its worker is gone", limit, patience=0)

    def free_process(self, worker_id: str, pid: int) -> tuple[list[Envelope], list[Envelope]]:
        """Free the runs of one process of a worker, which has died."""
        runs = self._runs
        return self._free([runs.c.owner == worker_id, runs.c.owner_pid == pid], f"process {pid} died", MOST)

    def free_unattended(
        self, worker_id: str, held: Collection[str], older_than: float
    ) -> tuple[list[Envelope], list[Envelope]]:
        """Free runs that a live worker owns but does not have at hand, claimed more than ``older_than`` seconds ago."""
        runs = self._runs
        conditions: list[Any] = [
            runs.c.owner == worker_id,
            runs.c.claimed_at <= db_now() - int(older_than * MICROSECOND),
            runs.c.finished_at.is_(None) | (runs.c.finished_at <= db_now() - int(older_than * MICROSECOND)),
        ]
        # What is held is not named in a statement: a worker may have taken more messages than one has room for.
        owned = self._connections.read(select(runs.c.id).where(runs.c.owner.is_not(None), *conditions))
        let_go = sorted({row.id for row in owned}.difference(held))[:MOST]
        if not let_go:
            return [], []
        return self._free([*conditions, runs.c.id.in_(let_go)], "its worker had let go of it", MOST)

    def free_all(self, worker_id: str) -> tuple[list[Envelope], list[Envelope]]:
        """Free every run of a worker that is ending, at once."""
        return self._free([self._runs.c.owner == worker_id], "its worker ended", MOST)

    def fail_timed_out(self, run_id: str, worker_id: str, pid: int, limit: float) -> list[Envelope]:
        """Fail a run whose process was ended by a hard time limit; a started step's attempt counts as timed out.

        Returns:
            What the messages of those runs are made from that waited for it.
        """
        runs = self._runs
        held = (
            runs.c.id == run_id,
            runs.c.owner == worker_id,
            runs.c.owner_pid == pid,
            runs.c.status == RunStatus.RUNNING.value,
        )
        facts = (runs.c.kind, runs.c.parent_id, runs.c.parent_seq, runs.c.lane, runs.c.children)
        look = select(*facts, runs.c.control, runs.c.cancelled_at, runs.c.cancel_reason).where(*held)
        # The sweep of timers settles it, as the step's policy says.
        expire: dict[str, Any] = {
            "due_at": db_now(),
            "timeout": func.coalesce(runs.c.timeout, int(limit * MICROSECOND)),
        }
        # Without an owner, so that nobody takes its process' death for a crash of the step.
        expire |= {"owner": None, "owner_pid": None, "claim_token": None}

        def work() -> list[Envelope] | None:
            with self._connections.transaction() as connection:
                run = connection.execute(look).first()
                if run is None:
                    return []
                if run.kind == RunKind.STEP.value:
                    connection.execute(update(runs).where(*held).values(**expire))
                    return []
                followers = self._family.followers(run_id, connection)
                own = [Tie(run.parent_id, run.parent_seq, run.lane)] if run.parent_id is not None else []
                woken = self._family.count_off_all(connection, [*own, *followers])
                failed = update(runs).where(*held, runs.c.followers == len(followers))
                if connection.execute(failed.values(**_timed_out(runs, run, limit))).rowcount != 1:
                    connection.rollback()
                    return None  # somebody has taken it, or follows it, since we looked
                return woken + (self._family.close(connection, run_id) if run.children else [])

        while (woken := self._connections.retrying(work)) is None:
            pass
        return woken

    def _free(
        self, conditions: Sequence[Any], why: str, limit: int, *, patience: float = RETRY_FOR
    ) -> tuple[list[Envelope], list[Envelope]]:
        runs, steps = self._runs, self._steps
        reached = (
            select(func.coalesce(func.max(steps.c.seq), 0))
            .where(steps.c.run_id == runs.c.id)
            .scalar_subquery()
        )
        columns = [runs.c[name] for name in ENVELOPE_COLUMNS]
        held = (runs.c.owner.is_not(None), *conditions)
        find = (
            select(*columns, runs.c.status, runs.c.recoveries, runs.c.progress, reached.label("reached"))
            .where(*held)
            .limit(limit)
            .with_for_update(skip_locked=True, of=runs)
        )
        look = select(runs.c.id).where(*held).limit(1)

        def work() -> tuple[list[Envelope], list[Envelope]]:
            queued: list[Envelope] = []
            stalled: list[Envelope] = []
            with self._connections.autocommit() as connection:
                # Nearly always there is nothing, and SQLite's one write lock is not taken for that.
                if connection.execute(look).first() is None:
                    return queued, stalled
            with self._connections.transaction() as connection:
                for row in connection.execute(find).all():
                    run = envelope(row)
                    if row.status != RunStatus.RUNNING.value:
                        self._free_settlement(connection, run)
                        queued.append(run)
                        continue
                    recoveries = 1 if row.reached > row.progress else row.recoveries + 1
                    if recoveries >= self._max_recoveries:
                        stalled.append(run)
                    else:
                        queued.append(run)
                    self._move(connection, run, recoveries, row.reached, why)
            return queued, stalled

        return self._connections.retrying(work, patience=patience)

    def _move(self, connection: Connection, run: Envelope, recoveries: int, reached: int, why: str) -> None:
        runs = self._runs
        values: dict[str, Any] = {"owner": None, "owner_pid": None, "claim_token": None}
        values |= {"recoveries": recoveries, "progress": reached}
        if recoveries >= self._max_recoveries:
            note = f"crash_loop: {recoveries} crashes in a row without progress; the last time, {why}"
            values |= {"status": RunStatus.STALLED.value, "reason": "crash_loop", "due_at": None}
            values["history"] = appended(runs.c.history, RunStatus.STALLED, literal(clean(note)))
        else:
            values |= queued_again(runs, f"recovered: {why}", self._gap)
        connection.execute(
            update(runs)
            .where(and_(runs.c.id == run.run_id, runs.c.status == RunStatus.RUNNING.value))
            .values(**values)
        )

    def _free_settlement(self, connection: Connection, run: Envelope) -> None:
        """Let somebody else tell the outside about a finished run."""
        connection.execute(
            update(self._runs)
            .where(self._runs.c.id == run.run_id)
            .values(owner=None, owner_pid=None, claim_token=None)
        )


def _timed_out(runs: Any, run: Any, limit: float) -> dict[str, Any]:
    """Give what a run is set to that a hard time limit has ended: in its clean-up, it is cancelled all the same."""
    message = f"the hard time limit of {limit:g} s ended it"
    status, why = RunStatus.FAILED, f"TimeLimitExceeded: {message}"
    if run.cancelled_at is not None and run.control is None:
        status = RunStatus.CANCELLED
        why = f"{run.cancel_reason or ''}; cleaning up failed: {why}".removeprefix("; ")
    error = {"type": "TimeLimitExceeded", "message": message, "traceback": "", "attempts": 1, "args": [limit]}
    return {
        "status": status.value,
        "reason": why,
        "error": json.dumps(error),
        "owner": None,
        "owner_pid": None,
        "claim_token": None,
        "finished_at": db_now(),
        "due_at": None,
        "deadline_at": None,
        "control": None,
        "on_close": None,
        "history": appended(runs.c.history, status, literal(clean(why))),
    }
