"""What a schedule does at one moment: each due time is started, missed or still to come, and never two of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiki_celery.engine.schedules.decisions import ON_TIME, Firing, fires_at, firing, next_after, next_of
from aiki_celery.model.clock import from_datetime
from aiki_celery.model.schedules import NewSchedule, StoredSchedule
from aiki_celery.model.timing import times_between

SECOND = 1_000_000
HOUR = 3600 * SECOND
START = from_datetime(datetime(2026, 3, 28, tzinfo=timezone.utc))
HOURLY = '{"every": 3600000000}'


def plan(timing: str = HOURLY, **facts: Any) -> NewSchedule:
    """A schedule, hourly unless told otherwise."""
    every: dict[str, Any] = {
        "name": "report",
        "workflow": "make-report",
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "catchup_window": None,
        "jitter": 0,
        "input": "{}",
        "options": None,
    }
    return NewSchedule(timing=timing, **(every | facts))


def stored(what: NewSchedule, **facts: Any) -> StoredSchedule:
    """As the journal has it; due next after the start unless told otherwise."""
    following = next_after(what, START)
    every: dict[str, Any] = {
        "origin": "code",
        "fingerprint": what.fingerprint,
        "paused_at": None,
        "due_at": following.due_at,
        "fires_at": following.fires_at,
        "last_due_at": None,
        "last_run_id": None,
        "skip_note": None,
        "created_at": START,
        "updated_at": START,
    }
    return StoredSchedule(what, **(every | facts))


def fired(what: NewSchedule, now: int, limit: int = 100) -> Firing:
    """What is done then."""
    todo = firing(stored(what), now, limit)
    assert todo is not None
    return todo


def test_nothing_is_done_before_the_due_time() -> None:
    """No timer is early."""
    assert (None, True) == (
        firing(stored(plan()), START + HOUR - 1, 100),
        firing(stored(plan()), START + HOUR, 100) is not None,
    )


def test_due_time_starts_one_run_and_the_next_is_an_hour_later() -> None:
    """The usual case."""
    todo = fired(plan(), START + HOUR)
    assert ([START + HOUR], None, (START + 2 * HOUR, START + 2 * HOUR)) == (
        todo.times,
        todo.missed,
        todo.next.pair,
    )


@pytest.mark.parametrize("overlap", ["skip", "allow", "cancel_previous"])
def test_only_the_latest_missed_one_is_caught_up_by_default(overlap: str) -> None:
    """However late it is, and whatever the overlap: ten hours of downtime start one run."""
    todo = fired(plan(overlap=overlap), START + 10 * HOUR + HOUR // 2)
    assert ([START + 10 * HOUR], (START + HOUR, START + 9 * HOUR), START + 11 * HOUR) == (
        todo.times,
        todo.missed,
        todo.next.due_at,
    )


@pytest.mark.parametrize(("overlap", "started"), [("allow", [8, 9, 10]), ("skip", [10])])
def test_window_bounds_what_is_caught_up(overlap: str, started: list[int]) -> None:
    """Each within it where overlap is allowed, else the latest."""
    todo = fired(plan(overlap=overlap, catchup_window=3 * HOUR), START + 10 * HOUR + HOUR // 2)
    assert ([START + hour * HOUR for hour in started], START + (started[0] - 1) * HOUR) == (
        todo.times,
        todo.missed and todo.missed[1],
    )


def test_nothing_older_than_the_window_is_started() -> None:
    """Not even the latest."""
    late = START + 10 * HOUR + HOUR // 2
    todo = fired(plan(catchup_window=HOUR // 4), late)
    assert ([], (START + HOUR, START + 10 * HOUR), START + 11 * HOUR) == (
        todo.times,
        todo.missed,
        todo.next.due_at,
    )


@pytest.mark.parametrize(("late", "started"), [(ON_TIME, 1), (ON_TIME + 1, 0)])
def test_sweep_that_is_a_little_late_is_on_time(late: int, started: int) -> None:
    """A window of nothing starts what is due, and catches nothing up."""
    assert started == len(fired(plan(catchup_window=0), START + HOUR + late).times)


def test_batch_is_bounded_and_the_rest_is_due_at_once() -> None:
    """The oldest come first, and none is left out over the batches."""
    what, now = plan(overlap="allow", catchup_window=100 * HOUR), START + 50 * HOUR
    schedule, started = stored(what), []
    while (todo := firing(schedule, now, 7)) is not None:
        assert len(todo.times) <= 7
        assert todo.missed is None
        started += todo.times
        schedule = stored(what, due_at=todo.next.due_at, fires_at=todo.next.fires_at)
    assert [START + hour * HOUR for hour in range(1, 51)] == started


def test_jitter_is_the_same_for_all_who_ask_and_spreads() -> None:
    """Drawn from the name and the due time."""
    what = plan(jitter=600 * SECOND)
    delays = [fires_at(what, START + hour * HOUR) - (START + hour * HOUR) for hour in range(1000)]
    assert delays == [fires_at(what, START + hour * HOUR) - (START + hour * HOUR) for hour in range(1000)]
    assert 0 <= min(delays) < 30 * SECOND
    assert 570 * SECOND < max(delays) < 600 * SECOND
    assert 280 * SECOND < sum(delays) / len(delays) < 320 * SECOND
    other = plan(jitter=600 * SECOND, name="other")
    assert fires_at(what, START) != fires_at(other, START)


def test_jitter_never_reaches_the_next_due_time() -> None:
    """So that none is overtaken, and none is taken for missed."""
    what = plan('{"cron": "0,1 * * * *"}', jitter=1800 * SECOND)
    due = list(times_between(what.times, START, START + 500 * HOUR))
    moments = [fires_at(what, moment) for moment in due]
    assert all(
        moment <= fires < following for moment, fires, following in zip(due, moments, due[1:], strict=False)
    )


def test_new_times_begin_anew_and_old_ones_stay_due() -> None:
    """A schedule that becomes another one keeps what is due only if its times are the same."""
    old, now = stored(plan()), START + 5 * HOUR
    paused = stored(plan(), paused_at=START, due_at=None, fires_at=None)
    assert [START + HOUR, START + 6 * HOUR, None] == [
        next_of(old, plan(overlap="allow"), now).due_at,
        next_of(old, plan('{"every": 1800000000}'), now + HOUR // 2).due_at,
        next_of(paused, plan(overlap="allow"), now).due_at,
    ]


timings = st.sampled_from(
    [
        HOURLY,
        '{"every": 90000000}',
        '{"cron": "0 3 * * *"}',
        '{"cron": "*/10 * * * *"}',
        '{"cron": "30 2 * * *"}',
        '{"cron": "0,1 */3 * * *"}',
    ]
)
gaps = st.lists(st.integers(1, 30 * HOUR), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    timing=timings,
    overlap=st.sampled_from(["skip", "allow"]),
    window=st.sampled_from([None, 0, HOUR, 5 * HOUR]),
    jitter=st.sampled_from([0, 30 * SECOND, HOUR]),
    gaps=gaps,
)
def test_each_due_time_is_started_or_missed_once(
    timing: str, overlap: str, window: int | None, jitter: int, gaps: list[int]
) -> None:
    """Whenever anybody looks: in order, none twice, none forgotten, none early, and none later than the window."""
    what = plan(timing, overlap=overlap, catchup_window=window, jitter=jitter)
    schedule, now = stored(what), START
    settled: list[int] = []
    for gap in gaps:
        now += gap
        while (todo := firing(schedule, now, 5)) is not None:
            if todo.missed is not None:
                missed = list(times_between(what.times, todo.missed[0] - 1, todo.missed[1]))
                assert todo.missed == (missed[0], missed[-1])
                settled += missed
            assert all(fires_at(what, due) <= now for due in todo.times)
            if window is not None:
                assert all(now - fires_at(what, due) <= max(window, ON_TIME) for due in todo.times)
            if overlap == "skip" or window is None:
                assert len(todo.times) <= 1
            settled += todo.times
            schedule = stored(what, due_at=todo.next.due_at, fires_at=todo.next.fires_at)
    expected = [due for due in times_between(what.times, START, now) if fires_at(what, due) <= now]
    assert expected == settled
