"""A stored schedule with other arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, tzinfo
from typing import Any, TypedDict

from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.schedule_options import (
    check_duration,
    check_overlap,
    check_zone,
    write_input,
    write_options,
    write_timing,
)
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import DefinitionInvalid
from aiki_celery.model.schedules import NewSchedule, Overlap


class ScheduleChanges(TypedDict, total=False):
    """What may be changed; each as in :func:`aiki_celery.schedule`.

    Arguments are given together: what is not among ``args`` and ``kwargs`` is not kept.
    """

    workflow: Workflow[..., Any]
    cron: Any
    every: Any
    timezone: str | tzinfo
    overlap: Overlap
    catchup_window: timedelta | float | None
    jitter: timedelta | float
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def changed_plan(plan: NewSchedule, changes: ScheduleChanges) -> NewSchedule:
    """Give a schedule with changes.

    Raises:
        DefinitionInvalid: There is no such argument, or one cannot be used.
        InputInvalid: The arguments do not fit the workflow.
    """
    name = plan.name
    unknown = changes.keys() - ScheduleChanges.__annotations__.keys()
    if unknown:
        known = ", ".join(ScheduleChanges.__annotations__)
        raise DefinitionInvalid(
            f"schedule {name!r}: there is no {sorted(unknown)[0]!r} to change; there are {known}"
        )
    if "workflow" in changes:
        if not isinstance(changes["workflow"], Workflow):
            raise DefinitionInvalid(f"schedule {name!r}: {changes['workflow']!r:.80} is no workflow")
        options = write_options(name, changes["workflow"]._options)
        plan = replace(plan, workflow=changes["workflow"].name, options=options)
    if "cron" in changes or "every" in changes:
        plan = replace(plan, timing=write_timing(name, changes.get("cron"), changes.get("every")))
    if "timezone" in changes:
        plan = replace(plan, timezone=check_zone(name, changes["timezone"]))
    if "overlap" in changes:
        plan = replace(plan, overlap=check_overlap(name, changes["overlap"]))
    if "catchup_window" in changes:
        window = changes["catchup_window"]
        given = None if window is None else check_duration(name, "catchup_window", window)
        plan = replace(plan, catchup_window=given)
    if "jitter" in changes:
        plan = replace(plan, jitter=check_duration(name, "jitter", changes["jitter"]))
    if changes.keys() & {"workflow", "args", "kwargs"}:
        plan = replace(plan, input=_input(plan, changes))
    return plan


def _input(plan: NewSchedule, changes: ScheduleChanges) -> str:
    workflow = changes.get("workflow") or registry.latest(plan.workflow)
    if workflow is None:
        raise DefinitionInvalid(
            f"schedule {plan.name!r}: this process does not have workflow {plan.workflow!r}, so its arguments "
            "cannot be checked"
        )
    if changes.keys() & {"args", "kwargs"}:
        return write_input(workflow, changes.get("args", ()), changes.get("kwargs"))
    return write_input(workflow, *workflow.signature.call_form(workflow.signature.read(plan.input)))
