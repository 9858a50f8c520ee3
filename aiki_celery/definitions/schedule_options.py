"""What ``schedule(...)`` takes: checked, and turned into what the journal keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, timezone, tzinfo
from typing import Any, get_args
from zoneinfo import ZoneInfo

from aiki_celery.definitions.naming import check_name
from aiki_celery.definitions.options import StartOptions
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.errors import DefinitionInvalid, InputInvalid
from aiki_celery.model.clock import MICROSECOND, to_seconds
from aiki_celery.model.cron import DAY, HOUR, MINUTE, MONTH, WEEKDAY, parse_cron, write_field
from aiki_celery.model.schedules import Overlap
from aiki_celery.model.timing import read_timing

OVERLAPS: tuple[Overlap, ...] = get_args(Overlap)

#: Options of a start that make sense for every start of a schedule.
KEPT = ("queue", "priority", "tags", "deadline")

#: Shortest interval, in seconds: each start is a transaction.
SHORTEST = 0.1

#: Longest name of a time zone, in characters: the journal's column.
MAX_ZONE = 64


def write_timing(name: str, cron: Any, every: Any) -> str:
    """Give when a schedule is due, as the journal keeps it.

    Args:
        name: The schedule, for messages.
        cron: A cron expression, or an object like Celery's ``crontab``.
        every: A duration, or an object like Celery's ``schedule``.

    Raises:
        DefinitionInvalid: Not exactly one of them is given, or it cannot be used.
    """
    if (cron is None) == (every is None):
        raise DefinitionInvalid(f'schedule {name!r}: give either cron="0 3 * * *" or every=timedelta(...)')
    try:
        text = _cron_text(cron) if every is None else _interval_text(every)
        if read_timing(text, "UTC").next_after(0) is None:
            raise ValueError(f"{cron!r} is never due")
    except (TypeError, ValueError, OverflowError) as error:
        raise DefinitionInvalid(
            f"schedule {name!r}: {'cron' if every is None else 'every'}: {error}"
        ) from error
    return text


def check_schedule_name(name: Any) -> str:
    """Give a schedule's name.

    Raises:
        DefinitionInvalid: It cannot be one.
    """
    return check_name("schedule", name)


def check_zone(name: str, zone: Any) -> str:
    """Give the name of a time zone that this machine knows.

    Raises:
        DefinitionInvalid: It does not.
    """
    key = getattr(zone, "key", None) if isinstance(zone, tzinfo) else zone
    if zone == timezone.utc:
        key = "UTC"
    try:
        if not isinstance(key, str) or len(key) > MAX_ZONE:
            raise ValueError("it is no name")
        return ZoneInfo(key).key
    except (LookupError, ValueError, OSError) as error:
        raise DefinitionInvalid(
            f"schedule {name!r}: timezone {zone!r} is not known here ({error}). Use a name such as 'Europe/Berlin'; "
            "where the system has no time zones, install the package tzdata."
        ) from error


def check_overlap(name: str, overlap: Any) -> Overlap:
    """Give what happens when an earlier run is not over.

    Raises:
        DefinitionInvalid: There is no such way.
    """
    if overlap not in OVERLAPS:
        raise DefinitionInvalid(
            f"schedule {name!r}: overlap is one of {', '.join(OVERLAPS)}, not {overlap!r}"
        )
    return overlap  # type: ignore[no-any-return]


def check_duration(name: str, option: str, duration: timedelta | float) -> int:
    """Give a duration in microseconds.

    Raises:
        DefinitionInvalid: It is none.
    """
    try:
        return round(to_seconds(duration) * MICROSECOND)
    except (TypeError, ValueError) as error:
        raise DefinitionInvalid(f"schedule {name!r}: {option}: {error}") from error


def write_input(workflow: Workflow[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> str:
    """Give the arguments of each start as JSON text.

    Raises:
        InputInvalid: They do not fit the workflow.
        NotJournalable: One of them has no JSON form.
        NameError: An annotation names what is not defined yet.
    """
    if not isinstance(args, (tuple, list)):
        raise InputInvalid(workflow.name, "args", f"is a list or tuple of arguments, not {args!r:.60}")
    return workflow.signature.bind_input(args, check_kwargs(workflow, kwargs)).text


def check_kwargs(workflow: Workflow[..., Any], kwargs: Any) -> dict[str, Any]:
    """Give the keyword arguments of each start.

    Raises:
        InputInvalid: They are none.
    """
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InputInvalid(workflow.name, "kwargs", f"is a dict of arguments by name, not {kwargs!r:.60}")
    return dict(kwargs or {})


def write_options(name: str, options: StartOptions) -> str | None:
    """Give the options of each start as JSON text.

    Raises:
        DefinitionInvalid: One of them makes no sense for every start.
    """
    plain = StartOptions()
    kept = {option: getattr(options, option) for option in KEPT}
    if replace(options, **{option: getattr(plain, option) for option in KEPT}) != plain:
        raise DefinitionInvalid(
            f"schedule {name!r}: of a workflow's options, a schedule takes {', '.join(KEPT)}; others are for one start"
        )
    given = {option: value for option, value in kept.items() if value != getattr(plain, option)}
    return json.dumps(given, sort_keys=True) if given else None


def read_options(text: str | None) -> StartOptions:
    """Read the options of each start."""
    facts = json.loads(text) if text else {}
    if "tags" in facts:
        facts["tags"] = tuple(facts["tags"])
    return StartOptions(**facts)


def _cron_text(cron: Any) -> str:
    if isinstance(cron, str):
        parse_cron(cron)
        return json.dumps({"cron": " ".join(cron.lower().split())})
    # Celery's crontab has parsed it already. It means a day that both day fields name.
    parts = (
        (MINUTE, "minute"),
        (HOUR, "hour"),
        (DAY, "day_of_month"),
        (MONTH, "month_of_year"),
        (WEEKDAY, "day_of_week"),
    )
    if not all(isinstance(getattr(cron, attribute, None), (set, frozenset)) for _, attribute in parts):
        raise TypeError(f"{cron!r} is neither a cron expression nor Celery's crontab")
    text = " ".join(write_field(field, frozenset(getattr(cron, attribute))) for field, attribute in parts)
    parse_cron(text, both=True)
    return json.dumps({"cron": text, "both": True})


def _interval_text(every: Any) -> str:
    duration = getattr(every, "run_every", every)
    if isinstance(duration, bool) or not isinstance(duration, (timedelta, int, float)):
        raise TypeError(f"{every!r} is neither a timedelta nor seconds nor Celery's schedule")
    seconds = to_seconds(duration)
    if seconds < SHORTEST:
        raise ValueError(f"{every!r} is less than {SHORTEST:g} s")
    return json.dumps({"every": round(seconds * MICROSECOND)})
