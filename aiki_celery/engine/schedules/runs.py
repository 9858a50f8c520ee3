"""The runs that a schedule starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiki_celery.definitions.schedule_options import read_options
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.starting import make_run
from aiki_celery.model.records import NewRun
from aiki_celery.model.schedules import NewSchedule


def new_scheduled_run(
    plan: NewSchedule,
    workflow: Workflow[..., Any],
    due: int,
    route: Callable[[Any, str | None], str | None],
    max_payload: int,
) -> NewRun:
    """Make the run of a due time.

    Args:
        plan: The schedule.
        workflow: Its workflow, in the version that is to run.
        due: The due time.
        route: Gives the queue of what is started.
        max_payload: Most bytes of its input.

    Raises:
        InputInvalid: The schedule's arguments do not fit this version.
        PayloadTooLarge: They are too large.
    """
    signature, options = workflow.signature, read_options(plan.options)
    # Checked by this version's signature, which need not be the one they were written by.
    args, kwargs = signature.call_form(signature.read(plan.input))
    bound = signature.bind_input(args, kwargs)
    queue = route(workflow, options.queue)
    run = make_run(workflow, bound.values, bound.text, options, queue, max_payload)
    return replace(run, schedule=plan.name, scheduled_for=due)
