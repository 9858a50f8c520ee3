"""What `schedule(...)` takes, and what it refuses when the module is imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from celery.schedules import schedule as celery_schedule

from aiki_celery import DefinitionInvalid, WorkflowRun, schedule, task, workflow
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.schedule import make_schedule
from aiki_celery.model.schedules import NewSchedule


@workflow(name="declared-report")
def report(run: WorkflowRun, region: str, pages: int = 1) -> None: ...


@workflow(name="declared-later")
def later(run: WorkflowRun, when: Later) -> None: ...


LATER = schedule(later, every=60, args=({"at": "noon"},))


@dataclass
class Later:
    """An annotation that is defined after it is used."""

    at: str


@task(name="declared-task")
def no_workflow() -> None: ...


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """The registry as it was, afterwards, without what this module declares."""
    registry._schedules.pop(LATER.name, None)
    before = dict(registry._schedules)
    yield
    registry._schedules.clear()
    registry._schedules.update(before)


def plan(**facts: Any) -> NewSchedule:
    """What the journal would get."""
    return schedule(report, **({"args": ("north",)} | facts)).plan("Asia/Tokyo")


TIMINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"cron": " 0  3 * * MON "}, {"cron": "0 3 * * mon"}),
    "crontab": (
        {"cron": crontab(minute="*/30", hour=3, day_of_month="13", day_of_week="fri")},
        {"cron": "0,30 3 13 * 5", "both": True},
    ),
    "crontab of every minute": ({"cron": crontab()}, {"cron": "* * * * *", "both": True}),
    "timedelta": ({"every": timedelta(minutes=1)}, {"every": 60_000_000}),
    "seconds": ({"every": 0.5}, {"every": 500_000}),
    "Celery's schedule": ({"every": celery_schedule(90)}, {"every": 90_000_000}),
}


@pytest.mark.parametrize(("given", "kept"), TIMINGS.values(), ids=TIMINGS)
def test_times_are_kept_as_data(given: dict[str, Any], kept: dict[str, Any]) -> None:
    """Cron text, Celery's own objects, durations."""
    assert kept == json.loads(plan(**given).timing)


def test_defaults_are_those_of_the_application_and_of_care() -> None:
    """Its name is the workflow's, its time zone the application's; no overlap, only the latest caught up, no jitter."""
    made = plan(every=60)
    assert ("declared-report", "Asia/Tokyo", "skip", None, 0, '{"region":"north"}', None) == (
        made.name,
        made.timezone,
        made.overlap,
        made.catchup_window,
        made.jitter,
        made.input,
        made.options,
    )


def test_options_of_each_start_are_those_of_the_workflow() -> None:
    """What `.options(...)` has set, as far as it makes sense for every start."""
    made = schedule(
        report.options(queue="q", priority=3, tags=["a"]),
        every=60,
        kwargs={"region": "south"},
        timezone=ZoneInfo("Europe/Berlin"),
        catchup_window=timedelta(hours=1),
        jitter=30,
        name="south",
    ).plan("UTC")
    assert ({"queue": "q", "priority": 3, "tags": ["a"]}, "Europe/Berlin", 3_600_000_000, 30_000_000) == (
        json.loads(made.options or ""),
        made.timezone,
        made.catchup_window,
        made.jitter,
    )


def test_utc_of_the_standard_library_is_a_time_zone() -> None:
    """Most people's UTC has no name of a zone."""
    assert "UTC" == plan(cron="0 3 * * *", timezone=timezone.utc).timezone


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no times": ({}, "give either cron="),
    "both": ({"cron": "* * * * *", "every": 5}, "give either cron="),
    "cron": ({"cron": "0 25 * * *"}, "cron: hour: '25'"),
    "never": ({"cron": "0 0 31 2 *"}, "never due"),
    "no cron": ({"cron": 5}, "neither a cron expression nor Celery's crontab"),
    "interval": ({"every": 0}, "every: 0 is less than 0.1 s"),
    "negative": ({"every": timedelta(-1)}, "every: a duration must be zero or more"),
    "no interval": ({"every": "5"}, "neither a timedelta nor seconds"),
    "truth": ({"every": True}, "neither a timedelta nor seconds"),
    "zone": ({"every": 5, "timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus'"),
    "no zone": ({"every": 5, "timezone": 3}, "timezone 3"),
    "fixed offset": ({"every": 5, "timezone": timezone(timedelta(hours=1))}, "timezone datetime.timezone"),
    "path": ({"every": 5, "timezone": "../etc/passwd"}, "timezone '../etc/passwd'"),
    "overlap": ({"every": 5, "overlap": "never"}, "overlap is one of skip, allow, cancel_previous"),
    "window": ({"every": 5, "catchup_window": -1}, "catchup_window: a duration"),
    "endless interval": ({"every": timedelta.max}, "every: a duration must be 1,000 years at most"),
    "endless window": (
        {"every": 5, "catchup_window": timedelta.max},
        "catchup_window: a duration must be 1,000",
    ),
    "endless jitter": (
        {"every": 5, "jitter": 1e12},
        "jitter: a duration must be 1,000 years at most, not 1000",
    ),
    "jitter": ({"every": 5, "jitter": "a"}, "jitter: a duration must be a timedelta or seconds, not 'a'"),
    "argument": ({"every": 5, "args": (7,)}, "argument 'region'"),
    "missing": ({"every": 5, "args": ()}, "missing a required argument: 'region'"),
    "text of arguments": ({"every": 5, "args": "north"}, "args"),
    "list of keywords": ({"every": 5, "kwargs": [1]}, "argument 'kwargs': is a dict"),
    "empty list of keywords": ({"every": 5, "kwargs": []}, "argument 'kwargs': is a dict"),
    "name": ({"every": 5, "name": "a@b"}, "schedule name 'a@b'"),
    "empty name": ({"every": 5, "name": ""}, "schedule name ''"),
}


@pytest.mark.parametrize(("given", "told"), BAD.values(), ids=BAD)
def test_bad_declaration_is_refused_at_import(given: dict[str, Any], told: str) -> None:
    """The message names the schedule and what is wrong; nothing is declared."""
    with pytest.raises(DefinitionInvalid) as refused:
        plan(**given)
    assert told in str(refused.value)
    assert "declared-report" not in {known.name for known in registry.schedules()}


def test_option_of_one_start_alone_is_refused() -> None:
    """A reference id can not name every run."""
    with pytest.raises(DefinitionInvalid, match="others are for one start"):
        schedule(report.options(reference_id="r-1"), every=60, args=("north",))


def test_task_is_no_workflow() -> None:
    """And the message says what to do."""
    with pytest.raises(DefinitionInvalid, match="make it one with @workflow"):
        schedule(no_workflow, every=60)  # type: ignore[arg-type]


def test_name_belongs_to_one_declaration() -> None:
    """A second one is refused; the same line again, as when a module is imported twice, is not."""

    def declare(region: str = "north") -> None:
        schedule(report, every=60, args=(region,))

    declare()
    declare()
    with pytest.raises(DefinitionInvalid, match="is declared twice"):
        declare("south")
    with pytest.raises(DefinitionInvalid, match=r"is declared twice: at .*test_schedule_declarations"):
        schedule(report, every=60, args=("south",))


def test_annotation_that_is_defined_later_is_looked_at_later() -> None:
    """By the worker, when it brings its declarations into the journal."""
    assert '{"when":{"at":"noon"}}' == LATER.plan("UTC").input


def test_fingerprint_tells_declarations_apart() -> None:
    """Whatever is different between them."""
    others: list[dict[str, Any]] = [
        {"every": 61},
        {"overlap": "allow"},
        {"catchup_window": 0},
        {"jitter": 1},
        {"args": ("south",)},
        {"timezone": "UTC"},
    ]
    made = [make_schedule(report, **({"every": 60, "args": ("north",)} | other)) for other in [{}, *others]]
    assert len(made) == len({one.plan("Asia/Tokyo").fingerprint for one in made})
    same = make_schedule(report, every=timedelta(minutes=1), kwargs={"region": "north"})
    assert made[0].plan("UTC").fingerprint == same.plan("UTC").fingerprint
