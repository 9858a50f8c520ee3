"""A schedule: when runs of a workflow start by themselves."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta, tzinfo
from typing import Any

from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.schedule_options import (
    check_duration,
    check_kwargs,
    check_overlap,
    check_schedule_name,
    check_zone,
    write_input,
    write_options,
    write_timing,
)
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import DefinitionInvalid, ValueRejected
from aiki_celery.model.schedules import NewSchedule, Overlap


@dataclass(frozen=True)
class Schedule:
    """A schedule as it was declared. It is there for the workers; nothing need be done with it.

    Attributes:
        name: Its name.
        workflow: What it starts.
        timezone: Where a cron expression is told; None for the application's.
    """

    name: str
    workflow: Workflow[..., Any]
    timing: str
    timezone: str | None
    overlap: Overlap
    catchup_window: int | None
    jitter: int
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: str | None

    @property
    def content(self) -> tuple[Any, ...]:
        """All that it says, as plain values."""
        own = (getattr(self, field.name) for field in fields(self) if field.name != "workflow")
        return (self.workflow.definition, *own)

    def plan(self, timezone: str) -> NewSchedule:
        """Give what the journal keeps.

        Args:
            timezone: The application's time zone.

        Raises:
            InputInvalid: The arguments do not fit the workflow.
            DefinitionInvalid: The time zone is not known here.
        """
        return NewSchedule(
            name=self.name,
            workflow=self.workflow.name,
            timing=self.timing,
            timezone=self.timezone or check_zone(self.name, timezone),
            overlap=self.overlap,
            catchup_window=self.catchup_window,
            jitter=self.jitter,
            input=write_input(self.workflow, self.args, self.kwargs),
            options=self.options,
        )


def make_schedule(
    workflow: Workflow[..., Any],
    *,
    cron: Any = None,
    every: Any = None,
    timezone: str | tzinfo | None = None,
    overlap: Overlap = "skip",
    catchup_window: timedelta | float | None = None,
    jitter: timedelta | float = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Schedule:
    """Make a schedule that is not declared; see :func:`schedule`.

    Raises:
        DefinitionInvalid: Something about it cannot work; says what.
        InputInvalid: The arguments do not fit the workflow.
    """
    if not isinstance(workflow, Workflow):
        raise DefinitionInvalid(
            f"a schedule starts a workflow, not {workflow!r:.80}; make it one with @workflow"
        )
    chosen = check_schedule_name(workflow.name if name is None else name)
    made = Schedule(
        name=chosen,
        workflow=workflow,
        timing=write_timing(chosen, cron, every),
        timezone=None if timezone is None else check_zone(chosen, timezone),
        overlap=check_overlap(chosen, overlap),
        catchup_window=None
        if catchup_window is None
        else check_duration(chosen, "catchup_window", catchup_window),
        jitter=check_duration(chosen, "jitter", jitter),
        args=args,
        kwargs=check_kwargs(workflow, kwargs),
        options=write_options(chosen, workflow._options),
    )
    # Where an annotation names what is defined further down, the worker looks again.
    with contextlib.suppress(NameError):
        made.plan("UTC")
    return made


def schedule(
    workflow: Workflow[..., Any],
    *,
    cron: Any = None,
    every: Any = None,
    timezone: str | tzinfo | None = None,
    overlap: Overlap = "skip",
    catchup_window: timedelta | float | None = None,
    jitter: timedelta | float = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Schedule:
    """Declare that runs of a workflow start by themselves. Every worker that has the workflow sees to it.

    Each due time starts exactly one run, whatever the number of workers. In the run, ``run.scheduled_for`` tells it.

    Args:
        workflow: What to start, with ``.options(queue=, priority=, tags=, deadline=)`` if each start is to have these.
        cron: A cron expression, ``"0 3 * * *"``, or Celery's ``crontab``. Give this or ``every``.
        every: A ``timedelta``, seconds, or Celery's ``schedule``: due at every multiple since 1970-01-01 00:00 UTC.
        timezone: Where a cron expression is told, as in ``"Europe/Berlin"``; defaults to Celery's ``timezone``.
        overlap: If an earlier run of this schedule is not over: ``"skip"`` this due time, ``"allow"`` another run, or
            ``"cancel_previous"``.
        catchup_window: After downtime, due times missed by no more than this are caught up: each of them with
            ``overlap="allow"``, else the latest. Without, the latest missed one is, however late.
        jitter: Each start is put off by some of this, the same on all workers, and never to the next due time.
        args: Positional arguments of each start.
        kwargs: Keyword arguments of each start.
        name: Its name, unique in the journal; defaults to the workflow's.

    Raises:
        DefinitionInvalid: Something about it cannot work; says what.
    """
    try:
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
    except ValueRejected as error:
        raise DefinitionInvalid(f"schedule {name or workflow.name!r}: {error}") from error
    caller = sys._getframe(1)
    registry.add_schedule(made, f"{caller.f_code.co_filename}:{caller.f_lineno}")
    return made
