"""Schedules at run time: what ``aiki.schedules`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.schedule import make_schedule
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.schedules.changes import changed_plan
from aiki_celery.engine.schedules.decisions import Next, next_after, next_of
from aiki_celery.engine.schedules.starts import ScheduleStarts
from aiki_celery.engine.schedules.views import view_of
from aiki_celery.errors import ScheduleConflict
from aiki_celery.journal.schedules.locked import LockedSchedule
from aiki_celery.model.schedules import (
    CODE,
    RETIRED,
    RUNTIME,
    NewSchedule,
    Overlap,
    ScheduleView,
    StoredSchedule,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from aiki_celery.engine.schedules.changes import ScheduleChanges

T = TypeVar("T")


class Schedules(ScheduleStarts):
    """Makes, shows and changes schedules, those that code declares included.

    Args:
        journal: Where they are.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        route: Gives the queue of what is started.
        timezone: Gives the name of the application's time zone.
        send: Sends the messages of new runs.
        runtime: The extension, for handles.
    """

    def create(
        self,
        workflow: Workflow[..., Any],
        *,
        name: str | None = None,
        cron: Any = None,
        every: Any = None,
        timezone: str | tzinfo | None = None,
        overlap: Overlap = "skip",
        catchup_window: timedelta | float | None = None,
        jitter: timedelta | float = 0,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> ScheduleView:
        """Make a schedule; the arguments are those of :func:`aiki_celery.schedule`.

        One of this name that is the same in everything is given as it is.

        Raises:
            DefinitionInvalid: Something about it cannot work; says what.
            InputInvalid: The arguments do not fit the workflow.
            ScheduleConflict: There is another one of this name.
        """
        made = make_schedule(
            workflow,
            cron=cron,
            every=every,
            timezone=timezone,
            overlap=overlap,
            catchup_window=catchup_window,
            jitter=jitter,
            args=args,
            kwargs=kwargs,
            name=name,
        )
        plan = made.plan(self._timezone())
        self._check_size(plan)
        self._journal.ensure_ready()
        if not self._journal.schedules.insert(plan, RUNTIME, lambda now: next_after(plan, now).pair):
            found = self._find(plan.name)
            if (found.origin, found.fingerprint) != (RUNTIME, plan.fingerprint):
                raise ScheduleConflict(
                    plan.name,
                    "code declares it: change it there, or give this one another name."
                    if found.origin == CODE
                    else "there is another one of this name. Give this one another name, or delete or update that one.",
                )
        return self.get(plan.name)

    def get(self, name: str) -> ScheduleView:
        """Give a schedule.

        Raises:
            ScheduleNotFound: There is none of this name.
        """
        return view_of(self._find(name))

    def list(self, workflow: Workflow[..., Any] | str | None = None) -> list[ScheduleView]:
        """Give every schedule by name, or those of one workflow."""
        self._journal.ensure_ready()
        named = workflow.name if isinstance(workflow, Workflow) else workflow
        return [view_of(schedule) for schedule in self._journal.schedules.all(named)]

    def pause(self, name: str) -> ScheduleView:
        """Start no more runs until :meth:`resume`. What is paused already stays so.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleConflict: It is retired.
        """

        def work(locked: LockedSchedule) -> None:
            _refuse_retired(locked.stored)
            if locked.stored.paused_at is None:
                locked.change(paused_at=locked.now, due_at=None, fires_at=None, updated_at=locked.now)

        return self._change(name, work)

    def resume(self, name: str) -> ScheduleView:
        """Go on with the next due time. What was due while it was paused is not caught up; see :meth:`backfill`.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleConflict: It is retired.
        """

        def work(locked: LockedSchedule) -> None:
            _refuse_retired(locked.stored)
            if locked.stored.paused_at is not None:
                self._set_next(locked, next_after(locked.stored.plan, locked.now), paused_at=None)

        return self._change(name, work)

    def update(self, name: str, **changes: Unpack[ScheduleChanges]) -> ScheduleView:
        """Change a schedule that was made at run time: any arguments of :meth:`create` but the name.

        With other times it begins anew: its next due time is the first one from now on.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleConflict: Code declares it: change it there.
            DefinitionInvalid: Something about it cannot work; says what.
            InputInvalid: The arguments do not fit the workflow.
        """

        def work(locked: LockedSchedule) -> None:
            self._refuse_declared(locked.stored, "change")
            plan = changed_plan(locked.stored.plan, changes)
            self._check_size(plan)
            following = next_of(locked.stored, plan, locked.now)
            locked.become(plan, due_at=following.due_at, fires_at=following.fires_at, updated_at=locked.now)

        return self._change(name, work)

    def delete(self, name: str) -> None:
        """Delete a schedule that was made at run time, or is retired. Its runs stay.

        Raises:
            ScheduleNotFound: There is none of this name.
            ScheduleConflict: Code declares it: take it away there, or pause it.
        """

        def work(locked: LockedSchedule) -> None:
            self._refuse_declared(locked.stored, "delete")
            locked.delete()

        self._find(name)
        self._journal.schedules.locked(name, work)

    def _change(self, name: str, work: Callable[[LockedSchedule], None]) -> ScheduleView:
        self._journal.ensure_ready()
        self._journal.schedules.locked(name, work)
        return self.get(name)

    def _set_next(self, locked: LockedSchedule, following: Next, **values: Any) -> None:
        locked.change(due_at=following.due_at, fires_at=following.fires_at, updated_at=locked.now, **values)

    def _refuse_declared(self, stored: StoredSchedule, verb: str) -> None:
        if stored.origin == CODE:
            raise ScheduleConflict(stored.plan.name, f"code declares it: {verb} it there, or pause it here")

    def _check_size(self, plan: NewSchedule) -> None:
        """Make sure that a run can be made from it here, and so that its input is not too large."""
        workflow = registry.latest(plan.workflow)
        if workflow is not None:
            self._run(plan, workflow, 0)


def _refuse_retired(stored: StoredSchedule) -> None:
    if stored.origin == RETIRED:
        raise ScheduleConflict(
            stored.plan.name, "it is retired: no code declares it any more. Delete it, or declare it."
        )
