"""Brings the schedules that code declares into the journal: in every worker, when it starts and from time to time.

Old and new workers are there at once while a deploy goes on, and must not overwrite one another's declarations in
turns. So what the journal has is changed only when no other live worker declares it: the old declaration holds until
the last old worker is gone. Workers tell what they declare in their own rows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from aiki_celery.definitions.registry import registry
from aiki_celery.engine.schedules.decisions import next_after, next_of
from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.errors import AikiError, JournalError
from aiki_celery.journal.schedules.locked import LockedSchedule
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.schedules import CODE, RETIRED, RUNTIME, NewSchedule, StoredSchedule

logger = logging.getLogger("aiki_celery.schedules")

#: Times missed by a schedule that was retired for no longer than this, in microseconds, count as missed.
BRIEFLY = 3600 * MICROSECOND


def declared_plans(timezone: str) -> dict[str, NewSchedule | None]:
    """Give the schedules that code declares in this process, by name; None for one that cannot be used."""
    plans: dict[str, NewSchedule | None] = {}
    for schedule in registry.schedules():
        try:
            plans[schedule.name] = schedule.plan(timezone)
        except (AikiError, NameError) as error:
            plans[schedule.name] = None
            logger.error("Schedule %r cannot be used: %s", schedule.name, error)
    return plans


class Declarations:
    """One worker's declarations.

    Args:
        context: What sweeps are given.
        worker_id: Id of this worker.
    """

    def __init__(self, context: SweepContext, worker_id: str) -> None:
        self._context = context
        self._worker_id = worker_id
        self._plans = context.plans()
        self._told: set[str] = set()

    def sync(self) -> int:
        """Bring them into the journal; give how many schedules were changed by that."""
        stored = {schedule.plan.name: schedule for schedule in self._context.journal.schedules.all()}
        mine = {workflow.name for workflow in registry}
        plans = [plan for plan in self._plans.values() if plan is not None]
        changed = [plan for plan in plans if _differs(plan, stored.get(plan.name))]
        gone = [
            schedule
            for name, schedule in stored.items()
            if schedule.origin == CODE and name not in self._plans and schedule.plan.workflow in mine
        ]
        if not changed and not gone:
            return 0
        others = self._declared_by_others()
        done = [self._declare_alone(plan, stored.get(plan.name), others) for plan in changed]
        done += [self._retire(schedule) for schedule in gone if schedule.plan.name not in others]
        return sum(done)

    def _declare_alone(
        self, plan: NewSchedule, stored: StoredSchedule | None, others: Mapping[str, set[str]]
    ) -> bool:
        """Declare one. What is wrong with it keeps no other from being declared."""
        try:
            return self._declare(plan, stored, others)
        except JournalError:
            raise
        except (AikiError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # None of these is an error of the database's driver: those reach whoever calls.
            logger.error("Schedule %r cannot be declared: %s", plan.name, error)
            return False

    def _declare(
        self, plan: NewSchedule, stored: StoredSchedule | None, others: Mapping[str, set[str]]
    ) -> bool:
        schedules = self._context.journal.schedules
        if stored is None:
            return schedules.insert(plan, CODE, lambda now: next_after(plan, now).pair)
        if stored.origin == RUNTIME:
            self._tell(
                plan.name, "was made at run time, and stays as it is; delete it or rename the declared one."
            )
            return False
        if stored.fingerprint != plan.fingerprint and stored.fingerprint in others.get(plan.name, ()):
            self._tell(
                plan.name,
                "is declared otherwise by other workers; what this one declares waits for their end.",
            )
            return False
        return bool(schedules.locked(plan.name, lambda locked: _become(locked, stored, plan)))

    def _retire(self, stored: StoredSchedule) -> bool:
        """Stop a schedule that no code declares any more, and that a worker with its workflow has looked for."""

        def work(locked: LockedSchedule) -> bool:
            if (locked.stored.origin, locked.stored.fingerprint) != (CODE, stored.fingerprint):
                return False
            # The next due time is kept: it may be declared again soon, if a worker was only away.
            locked.change(origin=RETIRED, fires_at=None, updated_at=locked.now)
            return True

        name = stored.plan.name
        done = bool(self._context.journal.schedules.locked(name, work))
        if done:
            logger.warning("Schedule %r is retired: no code declares it any more.", name)
        return done

    def _declared_by_others(self) -> dict[str, set[str]]:
        """Give what other live workers declare: fingerprints by name."""
        declared: dict[str, set[str]] = {}
        for worker in self._context.journal.workers.all():
            if worker.id != self._worker_id and worker.silent_for < self._context.settings.worker_ttl:
                told = json.loads(worker.info or "{}").get("schedules", {})
                for name, fingerprint in told.items():
                    declared.setdefault(name, set()).add(fingerprint)
        return declared

    def _tell(self, name: str, what: str) -> None:
        if name not in self._told:
            self._told.add(name)
            logger.warning("Schedule %r %s", name, what)


def _differs(plan: NewSchedule, stored: StoredSchedule | None) -> bool:
    return stored is None or (stored.origin, stored.fingerprint) != (CODE, plan.fingerprint)


def _become(locked: LockedSchedule, seen: StoredSchedule, plan: NewSchedule) -> bool:
    stored, now = locked.stored, locked.now
    if (stored.origin, stored.fingerprint) != (seen.origin, seen.fingerprint):
        return False  # another worker was quicker
    is_new = stored.origin == RETIRED and now - stored.updated_at > BRIEFLY and stored.paused_at is None
    following = next_after(plan, now) if is_new else next_of(stored, plan, now)
    locked.become(plan, origin=CODE, due_at=following.due_at, fires_at=following.fires_at, updated_at=now)
    logger.info("Schedule %r is as this worker's code declares it.", plan.name)
    return True
