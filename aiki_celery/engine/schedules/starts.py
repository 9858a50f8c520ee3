"""Starting a schedule's runs by hand: now, and for due times of the past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from aiki_celery.definitions.current import Runtime
from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.schedules.runs import new_scheduled_run
from aiki_celery.errors import InputInvalid, ScheduleError, ScheduleNotFound
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.schedules.locked import LockedSchedule
from aiki_celery.model.clock import from_datetime
from aiki_celery.model.events import ScheduleFired, ScheduleFiring
from aiki_celery.model.records import NewRun
from aiki_celery.model.schedules import NewSchedule, StoredSchedule
from aiki_celery.model.timing import times_between
from aiki_celery.settings import AikiSettings

#: Most runs that one backfill starts.
MAX_BACKFILL = 1000


class ScheduleStarts:
    """Starts runs of schedules beside their due times.

    Args:
        journal: Where they are.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        route: Gives the queue of what is started.
        timezone: Gives the name of the application's time zone.
        send: Sends the messages of new runs.
        runtime: The extension, for handles.
    """

    def __init__(
        self,
        journal: Journal,
        settings: AikiSettings,
        hooks: Lifecycle,
        route: Callable[[Any, str | None], str | None],
        timezone: Callable[[], str],
        send: Callable[[Sequence[NewRun]], None],
        runtime: Runtime,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._hooks = hooks
        self._route = route
        self._timezone = timezone
        self._send = send
        self._runtime = runtime

    def trigger(self, name: str) -> WorkflowHandle[Any]:
        """Start a run now, beside the due times, whether or not it is paused or an earlier run is over.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleError: This process does not have its workflow.
        """
        plan = self._find(name).plan
        workflow = _workflow_of(plan)
        run = self._run(plan, workflow, self._journal.now())
        self._firing([run])
        run = self._journal.schedules.insert_beside(run)
        return self._fired([run], workflow)[0]

    def backfill(self, name: str, start: datetime, end: datetime) -> list[WorkflowHandle[Any]]:
        """Start a run for each due time of the past that has none, all at once and whatever ``overlap`` says.

        Args:
            name: The schedule, which may be paused.
            start: First instant, an aware ``datetime``.
            end: Last instant; of what lies ahead, nothing is started.

        Returns:
            Handles of the new runs, by due time.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleError: This process does not have its workflow.
            InputInvalid: An instant has no time zone, the end lies before the start, or there are more than 1,000 due
                times.
        """
        first, last = _instant(name, "start", start), _instant(name, "end", end)
        if last < first:
            raise InputInvalid(name, "end", f"{end.isoformat()} lies before the start, {start.isoformat()}")
        workflow = _workflow_of(self._find(name).plan)

        def work(locked: LockedSchedule) -> list[NewRun]:
            plan = locked.stored.plan
            due = self._due_times(plan, first, min(last, locked.now))
            taken = locked.taken(due[0]) if due else {}
            for moment in due:
                if moment not in runs:
                    runs[moment] = self._run(plan, workflow, moment)
            new = [runs[moment] for moment in due if moment not in taken]
            if new:
                self._firing(new)
                locked.start(new)
            # Those of an earlier try, too, that was committed and whose answer was lost.
            return [runs[moment] for moment in due if taken.get(moment, runs[moment].id) == runs[moment].id]

        runs: dict[int, NewRun] = {}
        started = self._journal.schedules.locked(name, work)
        if started is None:
            raise ScheduleNotFound(name)
        return self._fired(started, workflow)

    def _find(self, name: str) -> StoredSchedule:
        self._journal.ensure_ready()
        found = self._journal.schedules.get(name)
        if found is None:
            raise ScheduleNotFound(name)
        return found

    def _due_times(self, plan: NewSchedule, first: int, last: int) -> list[int]:
        due: list[int] = []
        try:
            for moment in times_between(plan.times, first - 1, last):
                if len(due) == MAX_BACKFILL:
                    raise InputInvalid(
                        plan.name, "end", f"there are more than {MAX_BACKFILL:,} due times; go on in parts"
                    )
                due.append(moment)
        except OverflowError:
            raise InputInvalid(
                plan.name, "start", "it is too near to the beginning of the calendar"
            ) from None
        return due

    def _run(self, plan: NewSchedule, workflow: Workflow[..., Any], due: int) -> NewRun:
        return new_scheduled_run(plan, workflow, due, self._route, self._settings.max_payload)

    def _firing(self, runs: Sequence[NewRun]) -> None:
        for run in runs:
            self._hooks.emit(ScheduleFiring(run.id, run.workflow, run.schedule or "", run.scheduled_for or 0))

    def _fired(self, runs: Sequence[NewRun], workflow: Workflow[..., Any]) -> list[WorkflowHandle[Any]]:
        for run in runs:
            self._hooks.emit(ScheduleFired(run.id, run.workflow, run.schedule or "", run.scheduled_for or 0))
        if runs:
            self._send(runs)
        return [WorkflowHandle(run.id, workflow, self._runtime) for run in runs]


def _workflow_of(plan: NewSchedule) -> Workflow[..., Any]:
    workflow = registry.latest(plan.workflow)
    if workflow is None:
        raise ScheduleError(
            f"Schedule {plan.name!r}: this process does not have workflow {plan.workflow!r}. Import its module, or "
            "do it where the workers' application is: celery -A your_app aiki schedule ..."
        )
    return workflow


def _instant(name: str, argument: str, moment: datetime) -> int:
    try:
        return from_datetime(moment)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputInvalid(name, argument, str(error)) from error
