"""Drives the sweeps in every worker, from one thread. An error in one of them is logged and ends nothing."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiki_celery.celery_binding.caretaker_notes import CaretakerNotes
from aiki_celery.celery_binding.fork_lock import ForkLock
from aiki_celery.celery_binding.pool_watch import PoolWatch
from aiki_celery.celery_binding.revocations import Revocations
from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.engine.sweeps.declarations import Declarations
from aiki_celery.engine.sweeps.recovery import (
    free_process,
    free_worker,
    sweep_dead_workers,
    sweep_unattended,
    sweep_unsettled,
)
from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.engine.sweeps.schedules import sweep_schedules
from aiki_celery.engine.sweeps.timers import sweep_timers
from aiki_celery.errors import JournalUnavailable
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.caretaker")

#: Seconds between two looks at the pool's processes.
WATCH_POOL = 0.25

#: Seconds between two looks at what was revoked.
WATCH_REVOKED = 0.25

#: Notes are gathered for this long, in seconds, so that many are acted on by one statement.
GATHER = 0.02

#: Longest time a failing duty is left alone, in seconds.
LONGEST_BACKOFF = 30.0


@dataclass
class Duty:
    """Something to do again and again.

    Attributes:
        name: For the log.
        work: Does it; may give the seconds until it is wanted again, if sooner than ``every``.
        every: Seconds between two times.
        next_at: When it is due, on the monotonic clock.
        failures: How often it has failed in a row.
    """

    name: str
    work: Callable[[], float | None]
    every: float
    next_at: float = 0.0
    failures: int = 0

    def do(self) -> None:
        """Do it, and say when it is due again. Gaps are jittered by a tenth, so that workers do not march in step."""
        try:
            wanted = self.work()
            self.failures = 0
        except Exception as error:
            wanted = None
            self.failures += 1
            level = logging.WARNING if self.failures < 5 else logging.ERROR
            logger.log(
                level,
                "Sweep %r failed, %d in a row: %s",
                self.name,
                self.failures,
                error,
                exc_info=self.failures == 1,
            )
        gap = self.every * random.uniform(0.9, 1.1)
        if self.failures:
            gap = min(gap * 2**self.failures, LONGEST_BACKOFF)
        elif wanted is not None:
            gap = min(gap, max(0.0, wanted))
        self.next_at = time.monotonic() + gap


class Caretaker:
    """One worker's sweeps.

    Args:
        context: What sweeps are given.
        worker_id: Id of this worker.
        notes: What the event loop leaves for us.
        pool: Watches the pool's processes; None where the pool has none.
        held: Gives the ids of the runs this worker has at hand.
        is_steady: Tells whether this worker's own heartbeat has been regular of late.
    """

    def __init__(
        self,
        context: SweepContext,
        worker_id: str,
        notes: CaretakerNotes,
        pool: PoolWatch | None,
        held: Callable[[], Iterable[str]],
        is_steady: Callable[[], bool],
    ) -> None:
        self._context = context
        self._is_steady = is_steady
        self._worker_id = worker_id
        self._notes = notes
        self._pool = pool
        self._held = held
        self._redelivery = Redelivery(context)
        self._revocations = Revocations(context)
        self._declarations = Declarations(context, worker_id)
        self._stop = threading.Event()
        self._is_draining = False
        self._last_notes = 0.0
        self._fork_lock = ForkLock()
        self._thread = threading.Thread(target=self._run, name="aiki-caretaker", daemon=True)
        poll = context.settings.poll_interval
        self._notes_duty = Duty("notes", self._read_notes, WATCH_POOL if pool is not None else 3600.0)
        self._duties = [
            self._notes_duty,
            Duty("revocations", self._revocations.sweep, WATCH_REVOKED),
            Duty("timers", lambda: sweep_timers(context), poll),
            # Rare: who finds one knows the next due time, and wakes for it.
            Duty("declarations", lambda: _done(self._declarations.sync()), 60 * poll),
            Duty("schedules", lambda: sweep_schedules(context), 5 * poll),
            Duty("recovery", self._recover, 1.25 * poll),
            Duty("redelivery", lambda: _done(self._redelivery.sweep()), 3 * poll),
            Duty("unattended", self._sweep_own, 10 * poll),
            Duty("tidying", self._tidy, 60.0),
        ]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def drain(self) -> None:
        """Leave runs to other workers from now on; only our own are still looked after."""
        self._is_draining = True

    def end(self) -> None:
        """Stop, confirm what was told, and free what this worker still owns."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._notes.bell.set()
        self._thread.join(timeout=10)
        try:
            self._read_notes()
            free_worker(self._context, self._worker_id)
        except Exception as error:
            logger.warning(
                "What worker %s still owns is left for others to recover: %s", self._worker_id, error
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic()
            for duty in self._duties:
                if (
                    duty.next_at <= now
                    and not self._stop.is_set()
                    and not (self._is_draining and duty is not self._notes_duty)
                ):
                    with self._fork_lock:
                        duty.do()
            soonest = (
                self._notes_duty.next_at if self._is_draining else min(duty.next_at for duty in self._duties)
            )
            if self._notes.bell.wait(max(0.0, soonest - time.monotonic())):
                self._notes.bell.clear()
                self._notes_duty.next_at = min(self._notes_duty.next_at, self._last_notes + GATHER)

    def _read_notes(self) -> None:
        """Do what the event loop asked for. Time limits come before deaths: a timed-out run is not to be recovered."""
        journal = self._context.journal
        self._last_notes = time.monotonic()
        # Looked at first, acted on last: the note of a time limit is made before its process is ended.
        dead = self._pool.take_dead() if self._pool is not None else set()
        for run_id, pid, limit in self._notes.take_timed_out():
            woken = journal.recovery.fail_timed_out(run_id, self._worker_id, pid, limit)
            if woken:
                self._context.publish(woken)
        for run_id, why in self._notes.take_revoked():
            self._context.publish(journal.adoptions.settle(run_id, RunStatus.CANCELLED, why=why) or [])
        lost = self._notes.take_lost()
        if lost:
            # Those that died before they could take their run leave it queued, and its message is spent.
            journal.timers.mark_unpublished([run_id for _, run_id in lost])
        dead |= {pid for pid, _ in lost if pid}
        if dead:
            # Whoever ended a process by ``revoke`` wants its run cancelled, not begun again.
            self._revocations.sweep()
        for pid in dead:
            free_process(self._context, self._worker_id, pid)
        confirmed = self._notes.take_confirmed()
        if confirmed:
            journal.settlements.confirm(confirmed)

    def _recover(self) -> float | None:
        """Free the runs of dead workers, unless we have been out of touch as well: they may be as alive as we are."""
        if not self._is_steady():
            return None
        try:
            return _done(sweep_dead_workers(self._context))
        except JournalUnavailable:
            return None  # looked at anew at the next poll, and then with another look at our own heartbeat

    def _sweep_own(self) -> float | None:
        sweep_unattended(self._context, self._worker_id, list(self._held()))
        return sweep_unsettled(self._context)

    def _tidy(self) -> None:
        self._redelivery.stall()
        self._context.journal.workers.remove_dead(10 * self._context.settings.worker_ttl)


def _done(count: int) -> float | None:
    """Come back at once after a full batch of work, else when it is time."""
    return 0.0 if count else None
