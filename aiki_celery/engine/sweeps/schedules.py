"""Starts runs whose schedule is due: for each due time exactly the runs that its policies say, whoever comes by."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aiki_celery.definitions.registry import registry
from aiki_celery.engine.schedules.decisions import Firing, firing
from aiki_celery.engine.schedules.runs import new_scheduled_run
from aiki_celery.engine.sweeps.context import SweepContext
from aiki_celery.errors import RunFinished
from aiki_celery.journal.schedules.locked import LockedSchedule
from aiki_celery.model.clock import MICROSECOND, to_datetime
from aiki_celery.model.events import ScheduleFired, ScheduleFiring, ScheduleSkipped
from aiki_celery.model.records import NewRun, envelope_of
from aiki_celery.model.schedules import NewSchedule

logger = logging.getLogger("aiki_celery.schedules")

#: A schedule whose arguments no longer fit is tried again after so many microseconds: by another version, perhaps.
TRY_AGAIN = 60 * MICROSECOND


def sweep_schedules(context: SweepContext) -> float | None:
    """Start the runs of due schedules whose workflow this process has, a batch at most.

    Returns:
        Seconds until the next one is due, zero or less when more may be due now, None when there is none.
    """
    mine = {workflow.name for workflow in registry}
    now, soonest = context.journal.schedules.soonest(mine, context.settings.batch_size)
    if not soonest:
        return None
    if soonest[0][1] > now:
        return (soonest[0][1] - now) / MICROSECOND
    acted = [fire(context, name) for name, fires_at in soonest if fires_at <= now]
    # What somebody else is at: he is done by then.
    return 0.0 if any(acted) else context.settings.poll_interval


def fire(context: SweepContext, name: str) -> bool:
    """Do what a schedule's due times ask for; give whether there was something to do and nobody else at it."""
    due = DueSchedule(context)
    while True:
        outcome = context.journal.schedules.locked(name, due.act, if_free=True)
        if outcome is None:
            return False
        if not outcome.in_the_way:
            break
        for run_id in outcome.in_the_way:
            due.cancel(run_id, f"a newer run of schedule {name!r} is due")
    for skip in outcome.skipped:
        logger.warning(
            "Schedule %r: no run is started for %s: %s", name, _span(skip.first, skip.last), skip.reason
        )
        context.hooks.emit(skip)
    if outcome.started:
        for run in outcome.started:
            context.hooks.emit(ScheduleFired(run.id, run.workflow, name, run.scheduled_for or 0))
        context.publish([envelope_of(run) for run in outcome.started])
    return outcome.acted


@dataclass(slots=True)
class Outcome:
    """What was done about a schedule.

    Attributes:
        acted: Whether it was due.
        started: Runs that were written.
        skipped: Due times that started none.
        in_the_way: Earlier runs that are to be cancelled first; nothing was written.
    """

    acted: bool = True
    started: list[NewRun] = field(default_factory=list)
    skipped: list[ScheduleSkipped] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)


class DueSchedule:
    """One look at one schedule, which may take several tries.

    Args:
        context: What sweeps are given.
    """

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._tried: list[NewRun] = []
        self._cancelled: set[str] = set()

    def cancel(self, run_id: str, reason: str) -> None:
        """Ask an earlier run's cancel."""
        try:
            self._context.cancel(run_id, reason)
        except RunFinished:
            logger.debug("Run %s was over before it could be cancelled.", run_id)
        self._cancelled.add(run_id)

    def act(self, locked: LockedSchedule) -> Outcome:
        """Write what is due, in the transaction that holds the schedule."""
        if registry.latest(locked.stored.plan.workflow) is None:
            return Outcome(acted=False)  # it was given another workflow since we looked
        try:
            todo = firing(locked.stored, locked.now, self._context.settings.batch_size)
        except (LookupError, OverflowError, ValueError) as error:
            # No such time zone here, times that no calendar has, or written by a newer release: left for a process
            # that can read it.
            logger.error("Schedule %r cannot be read here: %s", locked.stored.plan.name, error)
            return Outcome(acted=False)
        written = self._written_before(locked)
        if todo is None:
            return Outcome(acted=bool(written), started=written)
        outcome, plan = Outcome(), locked.stored.plan
        if todo.missed is not None:
            reason = "missed while no worker was there to start it"
            outcome.skipped.append(ScheduleSkipped("", plan.workflow, plan.name, *todo.missed, reason))
        if todo.times and plan.overlap != "allow":
            self._heed_earlier_runs(locked, todo, outcome)
            if outcome.in_the_way:
                return outcome
        # Not within the "try": an error of the database is no fault of the schedule.
        taken = locked.taken(todo.times[0]) if todo.times else {}
        try:
            outcome.started = self._runs(plan, todo.times, taken)
        except Exception as error:
            self._put_off(locked, todo, error)
            return Outcome(started=written)
        self._write(locked, todo, outcome)
        outcome.started = [*written, *outcome.started]
        return outcome

    def _heed_earlier_runs(self, locked: LockedSchedule, todo: Firing, outcome: Outcome) -> None:
        plan, live = locked.stored.plan, locked.live()
        if plan.overlap == "skip" and live:
            reason = f"run {live[0].id} is not over: it is {live[0].status}"
            skipped = ScheduleSkipped(
                live[0].id, plan.workflow, plan.name, todo.times[0], todo.times[-1], reason
            )
            outcome.skipped.append(skipped)
            todo.times.clear()
        elif plan.overlap == "cancel_previous":
            outcome.in_the_way = [
                run.id for run in live if not run.is_being_cancelled and run.id not in self._cancelled
            ]

    def _runs(self, plan: NewSchedule, times: Sequence[int], taken: Collection[int]) -> list[NewRun]:
        """Make the runs; a due time that was filled in by hand has its run already."""
        context, workflow = self._context, registry.latest(plan.workflow)
        if workflow is None:
            return []
        return [
            new_scheduled_run(plan, workflow, due, context.route, context.settings.max_payload)
            for due in times
            if due not in taken
        ]

    def _write(self, locked: LockedSchedule, todo: Firing, outcome: Outcome) -> None:
        values: dict[str, object] = {"due_at": todo.next.due_at, "fires_at": todo.next.fires_at}
        if outcome.started:
            self._tried += outcome.started
            for run in outcome.started:
                self._context.hooks.emit(
                    ScheduleFiring(run.id, run.workflow, locked.stored.plan.name, run.scheduled_for or 0)
                )
            locked.start(outcome.started)
            last = outcome.started[-1]
            values |= {"last_due_at": last.scheduled_for, "last_run_id": last.id}
        if outcome.skipped:
            skip = outcome.skipped[-1]
            values["skip_note"] = _note(skip.first, skip.last, skip.reason, skip.run_id or None)
        locked.change(**values)

    def _put_off(self, locked: LockedSchedule, todo: Firing, error: Exception) -> None:
        """Leave it due, for a process whose code its arguments fit."""
        plan = locked.stored.plan
        logger.error("Schedule %r cannot be started, and is tried again in a minute: %s", plan.name, error)
        note = _note(todo.times[0], todo.times[-1], f"{type(error).__name__}: {error}", None)
        locked.change(fires_at=locked.now + TRY_AGAIN, skip_note=note)

    def _written_before(self, locked: LockedSchedule) -> list[NewRun]:
        """Give the runs of an earlier try that was committed, and whose answer was lost."""
        if not self._tried:
            return []
        taken = locked.taken(min(run.scheduled_for or 0 for run in self._tried))
        return [run for run in self._tried if run.scheduled_for and taken.get(run.scheduled_for) == run.id]


def _note(first: int, last: int, reason: str, run_id: str | None) -> str:
    return json.dumps({"first": first, "last": last, "reason": reason, "run_id": run_id})


def _span(first: int, last: int) -> str:
    ends: Sequence[int] = (first,) if first == last else (first, last)
    return " to ".join(to_datetime(end).isoformat() for end in ends)
