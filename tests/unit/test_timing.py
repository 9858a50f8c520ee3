"""Due times: agreed with an oracle that walks the clock minute by minute, over every change of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiki_celery.model.clock import from_datetime, to_datetime
from aiki_celery.model.cron import Cron, parse_cron
from aiki_celery.model.timing import CronInZone, Interval, Timing, read_timing, times_between

MINUTE = timedelta(minutes=1)

#: Zones, and local days on which their clocks are changed: by an hour, by half an hour, at midnight, over midnight.
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],
    "America/Santiago": ["2026-04-04", "2026-09-06"],
    "America/Sao_Paulo": ["2018-02-17", "2018-11-04"],
    "Asia/Pyongyang": ["2015-08-14", "2018-05-04"],
    "America/St_Johns": ["2010-03-14", "2010-11-06"],
    "Pacific/Apia": ["2011-12-30"],
    "Asia/Kolkata": ["2026-06-01"],
}


def due(text: str, zone: str, start: str, end: str) -> list[str]:
    """The due times between two local times, as the clock shows them, with its offset."""
    there = ZoneInfo(zone)
    first, last = (
        from_datetime(datetime.fromisoformat(moment).replace(tzinfo=there)) for moment in (start, end)
    )
    timing = CronInZone(parse_cron(text), there)
    return [
        to_datetime(moment).astimezone(there).strftime("%d %H:%M %z")
        for moment in times_between(timing, first - 1, last)
    ]


NIGHTS = {
    "Berlin, forward": (
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", "2026-03-31"),
        ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"],
    ),
    "Berlin, back": (
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", "2026-10-27"),
        ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"],
    ),
    "New York, forward": (
        ("30 2 * * *", "America/New_York", "2026-03-07", "2026-03-10"),
        ["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"],
    ),
    "New York, back": (
        ("30 1 * * *", "America/New_York", "2026-10-31", "2026-11-03"),
        ["31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"],
    ),
    "Lord Howe, forward": (
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03", "2026-10-06"),
        ["03 02:15 +1030", "04 02:30 +1100", "05 02:15 +1100"],
    ),
    "Lord Howe, back": (
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04", "2026-04-07"),
        ["04 01:45 +1100", "05 01:45 +1100", "06 01:45 +1030"],
    ),
    "several in the gap are one": (
        ("*/15 2,3 * * *", "Europe/Berlin", "2026-03-29", "2026-03-29T04:00"),
        ["29 03:00 +0200", "29 03:15 +0200", "29 03:30 +0200", "29 03:45 +0200"],
    ),
    "midnight in the gap": (
        ("0 0 * * *", "America/Santiago", "2026-09-05", "2026-09-07T12:00"),
        ["05 00:00 -0400", "06 01:00 -0300", "07 00:00 -0300"],
    ),
    "a day that is not there": (
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-01", "2012-01-02"),
        ["31 00:00 +1400"],
    ),
}


@pytest.mark.parametrize(("asked", "expected"), NIGHTS.values(), ids=NIGHTS)
def test_fixed_time_is_due_once_in_each_night(asked: tuple[str, str, str, str], expected: list[str]) -> None:
    """A time that is not there is due at the first instant after the gap, one that comes twice the first time."""
    assert expected == due(*asked)


HOURS = {
    "Berlin, forward": (
        ("30 * * * *", "Europe/Berlin", "2026-03-29T00:00", "2026-03-29T04:59"),
        ["29 00:30 +0100", "29 01:30 +0100", "29 03:30 +0200", "29 04:30 +0200"],
    ),
    "Berlin, back": (
        ("30 * * * *", "Europe/Berlin", "2026-10-25T01:00", "2026-10-25T03:59"),
        ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"],
    ),
    "New York, back": (
        ("*/30 * * * *", "America/New_York", "2026-11-01T00:30", "2026-11-01T02:00"),
        [
            *("01 00:30 -0400", "01 01:00 -0400", "01 01:30 -0400"),
            *("01 01:00 -0500", "01 01:30 -0500", "01 02:00 -0500"),
        ],
    ),
    "Lord Howe, forward, its minute in the gap": (
        ("15 * * * *", "Australia/Lord_Howe", "2026-10-04T01:00", "2026-10-04T03:59"),
        ["04 01:15 +1030", "04 02:30 +1100", "04 03:15 +1100"],
    ),
    "Lord Howe, forward, its minute there": (
        ("15,45 * * * *", "Australia/Lord_Howe", "2026-10-04T01:30", "2026-10-04T03:30"),
        ["04 01:45 +1030", "04 02:45 +1100", "04 03:15 +1100"],
    ),
    "Lord Howe, back": (
        ("45 * * * *", "Australia/Lord_Howe", "2026-04-05T00:30", "2026-04-05T02:59"),
        ["05 00:45 +1100", "05 01:45 +1100", "05 01:45 +1030", "05 02:45 +1030"],
    ),
}


@pytest.mark.parametrize(("asked", "expected"), HOURS.values(), ids=HOURS)
def test_hourly_goes_on_in_every_hour_that_is_there(
    asked: tuple[str, str, str, str], expected: list[str]
) -> None:
    """What is due in every hour follows the clock: not in an hour that is left out, twice in one that comes twice."""
    assert expected == due(*asked)


def oracle(cron: Cron, zone: ZoneInfo, first: int, last: int) -> list[int]:
    """The due times, found by walking through the real minutes and looking at the clock."""
    walked, found = walk(zone, first, last), []
    high = walked[0][1]
    for instant, shown in walked:
        if first <= instant and is_due(cron, high, shown):
            found.append(instant)
        high = max(high, shown)
    return found


@functools.cache
def walk(zone: ZoneInfo, first: int, last: int) -> list[tuple[int, datetime]]:
    """The real minutes, from two days before, and what the clock shows at each."""
    start, count = first - 2 * 86_400_000_000, (last - first) // 60_000_000 + 2 * 1440
    minutes = [start // 60_000_000 * 60_000_000 + number * 60_000_000 for number in range(count + 1)]
    return [(minute, to_datetime(minute).astimezone(zone).replace(tzinfo=None)) for minute in minutes]


def is_due(cron: Cron, high: datetime, shown: datetime) -> bool:
    """Whether it is due in a minute: given what the clock shows, and the latest that it has shown before."""
    skipped = list(minutes_after(high, shown))
    if not cron.is_hourly:
        return any(names(cron, local) for local in skipped)
    if names(cron, shown):
        return True
    gap = set(skipped[:-1])
    return any(
        names(cron, local) and not whole <= gap and not any(names(cron, other) for other in whole - gap)
        for local in gap
        for whole in [{local.replace(minute=0) + number * MINUTE for number in range(60)}]
    )


def minutes_after(high: datetime, shown: datetime) -> Iterator[datetime]:
    """The minutes of the day after one and up to another."""
    while high < shown:
        high += MINUTE
        yield high


def names(cron: Cron, local: datetime) -> bool:
    """Whether the expression names this minute."""
    return cron.names(local.date()) and local.hour in cron.hours and local.minute in cron.minutes


numbers = st.integers
minute_fields = st.one_of(
    st.just("*"),
    st.sampled_from(["*/7", "*/15", "*/30", "5-10", "50-9/3"]),
    st.lists(numbers(0, 59), min_size=1, max_size=3).map(lambda values: ",".join(map(str, values))),
)
hour_fields = st.one_of(
    st.just("*"),
    st.sampled_from(["*/2", "*/5", "1-3", "23-2", "0-23"]),
    st.lists(numbers(0, 23), min_size=1, max_size=3).map(lambda values: ",".join(map(str, values))),
)
day_fields = st.sampled_from(["*", "*", "*", "*/2", "1-15", "4,5,29,25,30"])
weekday_fields = st.sampled_from(["*", "*", "*", "sun", "mon-fri", "6,0"])
crons = st.builds(
    lambda minute, hour, day, weekday: f"{minute} {hour} {day} * {weekday}",
    minute_fields,
    hour_fields,
    day_fields,
    weekday_fields,
)
places = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])


@settings(max_examples=80, deadline=None)
@given(text=crons, place=places, both=st.booleans())
def test_due_times_are_those_that_the_clock_shows(text: str, place: tuple[str, str], both: bool) -> None:
    """Around each change of the clock: none is left out, none is added, each is later than the one before."""
    zone, day = ZoneInfo(place[0]), datetime.fromisoformat(place[1])
    cron = parse_cron(text, both=both)
    first = from_datetime((day - timedelta(hours=14)).replace(tzinfo=zone))
    last = from_datetime((day + timedelta(hours=38)).replace(tzinfo=zone))
    timing = CronInZone(cron, zone)
    found = list(times_between(timing, first - 1, last))
    assert oracle(cron, zone, first, last) == found
    assert sorted(set(found)) == found
    assert found == backwards(timing, first - 1, last)


@settings(max_examples=60, deadline=None)
@given(text=crons, instant=numbers(1_000_000_000, 2_000_000_000), zone=st.sampled_from(sorted(CHANGES)))
def test_next_is_after_and_nothing_is_between(text: str, instant: int, zone: str) -> None:
    """From any instant on, in any year."""
    timing, start = CronInZone(parse_cron(text), ZoneInfo(zone)), instant * 1_000_000 + 7
    following = timing.next_after(start)
    assert following is not None
    assert following > start
    assert timing.latest(start, following - 1) is None
    assert following == timing.latest(start, following)
    assert following == timing.next_after(following - 1)


@given(every=numbers(100_000, 10**13), start=numbers(0, 2 * 10**15), length=numbers(0, 10**13))
def test_interval_is_due_at_its_multiples(every: int, start: int, length: int) -> None:
    """From whenever it is asked: all who ask agree."""
    timing = Interval(every)
    following = timing.next_after(start)
    assert (0, True) == (following % every, start < following <= start + every)
    last = timing.latest(start, start + length)
    assert (last is None) == (following > start + length)
    assert last is None or (last % every == 0 and start + length - every < last <= start + length)


def backwards(timing: Timing, after: int, until: int) -> list[int]:
    """The same from the other end."""
    found = []
    while (last := timing.latest(after, until)) is not None:
        found.append(last)
        until = last - 1
    return found[::-1]


def test_leap_day_on_a_monday_is_found_and_never_is_none() -> None:
    """Once in 28 years or more; and a search has its end."""
    zone = ZoneInfo("UTC")
    rare = CronInZone(parse_cron("0 0 29 2 mon", both=True), zone)
    found = [to_datetime(moment).year for moment in times_between(rare, 0, 10**6 * 4_200_000_000)]
    assert [1988, 2016, 2044, 2072] == found
    never = Cron(*(frozenset({number}) for number in (0, 0, 30, 2, 1)))
    timing = CronInZone(never, zone)
    assert (None, None) == (timing.next_after(0), timing.latest(0, 10**15))


def test_timing_is_read_from_what_is_stored() -> None:
    """Either way of telling it."""
    start = from_datetime(datetime(2026, 11, 1, tzinfo=timezone.utc))
    told = [
        read_timing('{"every": 3600000000}', "UTC"),
        read_timing('{"cron": "0 * * * *"}', "Europe/Berlin"),
        read_timing('{"cron": "0 0 13 * 5", "both": true}', "UTC"),
        read_timing('{"cron": "0 0 13 * 5"}', "UTC"),
    ]
    moments = [timing.next_after(start) for timing in told]
    assert ["01 01:00", "01 01:00", "13 00:00", "06 00:00"] == [
        to_datetime(moment).strftime("%d %H:%M") for moment in moments if moment is not None
    ]
