"""When something is due: at intervals, or by a cron expression in a time zone. Instants are microseconds.

A cron expression speaks of local time, which daylight saving changes. Where the clock goes forward, a local time that
does not exist is due at the first instant after the gap; several of them are due once. Where it goes back, a local time
that comes twice is due the first time. An expression that is due in every hour follows the clock instead: it is due
whenever the clock shows one of its minutes, so it goes on in each hour that is there, and in no other.
"""

from __future__ import annotations

import functools
import json
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from aiki_celery.model.clock import MICROSECOND, from_datetime, to_datetime
from aiki_celery.model.cron import Cron, parse_cron

_MINUTE = 60 * MICROSECOND
_DAY = timedelta(days=1)

#: How far ahead a next time is looked for: the 29th of February can be a Monday 40 years after it last was.
SEARCH = 366 * 41


class Timing(Protocol):
    """Tells due times."""

    def next_after(self, instant: int) -> int | None:
        """Give the first due time after an instant, or None when there is none."""

    def latest(self, after: int, until: int) -> int | None:
        """Give the last due time after one instant and not after another, or None when there is none."""


class Interval:
    """Due at every multiple of a duration since 1970-01-01T00:00Z, so that all who ask agree.

    Args:
        every: The duration, in microseconds.
    """

    def __init__(self, every: int) -> None:
        self._every = every

    def next_after(self, instant: int) -> int | None:
        """Give the first due time after an instant."""
        return (instant // self._every + 1) * self._every

    def latest(self, after: int, until: int) -> int | None:
        """Give the last due time after one instant and not after another, or None when there is none."""
        last = until // self._every * self._every
        return last if last > after else None


class CronInZone:
    """Due when the clocks of a time zone show what an expression names.

    Args:
        cron: The expression.
        zone: The time zone.
    """

    def __init__(self, cron: Cron, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone
        self._times = sorted((hour, minute) for hour in cron.hours for minute in cron.minutes)
        self._on = functools.lru_cache(maxsize=16)(self._due_on)

    def next_after(self, instant: int) -> int | None:
        """Give the first due time after an instant, or None when there is none in the next decades."""
        # From days before: what a day that is left out, or a clock that goes back at midnight, puts off.
        day = self._date_of(instant) - 2 * _DAY
        for _ in range(SEARCH):
            found = _after(self._on(day), instant)
            if found:
                return min([*found[:1], *_after(self._on(day + _DAY), instant)[:1]])
            day += _DAY
        return None

    def latest(self, after: int, until: int) -> int | None:
        """Give the last due time after one instant and not after another, or None when there is none."""
        day, first = self._date_of(until) + _DAY, self._date_of(after) - 2 * _DAY
        while day >= first:
            found = _until(self._on(day), until)
            if found:
                last = max([*found[-1:], *_until(self._on(day - _DAY), until)[-1:]])
                return last if last > after else None
            day -= _DAY
        return None

    def _due_on(self, day: date) -> list[int]:
        """Give the due times that a local day asks for, in order."""
        if not self._cron.names(day):
            return []
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the time on the wall
        if self._is_plain(midnight):
            start = self._instant(midnight)
            return [start + (60 * hour + minute) * _MINUTE for hour, minute in self._times]
        if self._cron.is_hourly:
            return sorted(set(self._by_the_clock(midnight)))
        local = (midnight + timedelta(hours=hour, minutes=minute) for hour, minute in self._times)
        return sorted({self._first(moment) for moment in local})

    def _first(self, moment: datetime) -> int:
        """Give the first instant at which it is a local time, or is past it."""
        return self._instant(moment) if self._exists(moment) else self._end_of_gap(moment)

    def _by_the_clock(self, midnight: datetime) -> Iterator[int]:
        """Give every instant of a day at which the clock shows one of the minutes."""
        for hour in range(24):
            start = midnight + timedelta(hours=hour)
            moments = [start + timedelta(minutes=minute) for minute in sorted(self._cron.minutes)]
            there = [moment for moment in moments if self._exists(moment)]
            for moment in there:
                yield self._instant(moment)
                yield self._instant(moment.replace(fold=1))
            if not there and (self._exists(start) or self._exists(start + timedelta(minutes=59))):
                # A part of the hour is there, and its minutes are in the gap.
                yield self._end_of_gap(moments[0])

    def _end_of_gap(self, moment: datetime) -> int:
        """Give the first instant after the gap in which a local time lies."""
        after = moment.replace(fold=1, tzinfo=self._zone).utcoffset()
        # With the offset after the gap it would be before its end, with the one before it at its end or after.
        early, late = self._instant(moment.replace(fold=1)), self._instant(moment)
        while late - early > MICROSECOND:
            middle = (early + late) // 2 // MICROSECOND * MICROSECOND
            if to_datetime(middle).astimezone(self._zone).utcoffset() == after:
                late = middle
            else:
                early = middle
        return late

    def _is_plain(self, midnight: datetime) -> bool:
        """Whether the clock is not changed on this day."""
        ends = (midnight, midnight + _DAY)
        offsets = {end.replace(tzinfo=self._zone, fold=fold).utcoffset() for end in ends for fold in (0, 1)}
        return len(offsets) == 1

    def _exists(self, moment: datetime) -> bool:
        back = to_datetime(self._instant(moment)).astimezone(self._zone)
        return back.replace(tzinfo=None, fold=0) == moment.replace(fold=0)

    def _instant(self, moment: datetime) -> int:
        return from_datetime(moment.replace(tzinfo=self._zone))

    def _date_of(self, instant: int) -> date:
        return to_datetime(instant).astimezone(self._zone).date()


@functools.lru_cache(maxsize=512)
def read_timing(text: str, zone: str) -> Timing:
    """Read how the journal keeps it: ``{"every": microseconds}``, or ``{"cron": expression, "both": true or false}``.

    Raises:
        ValueError: The expression is none.
        zoneinfo.ZoneInfoNotFoundError: This machine does not know the time zone.
    """
    facts = json.loads(text)
    if "every" in facts:
        return Interval(facts["every"])
    return CronInZone(parse_cron(facts["cron"], both=facts.get("both", False)), ZoneInfo(zone))


def times_between(timing: Timing, after: int, until: int) -> Iterator[int]:
    """Give the due times after one instant and not after another, in order."""
    due = timing.next_after(after)
    while due is not None and due <= until:
        yield due
        due = timing.next_after(due)


def _after(due: list[int], instant: int) -> list[int]:
    return due[bisect_right(due, instant) :]


def _until(due: list[int], instant: int) -> list[int]:
    return due[: bisect_right(due, instant)]
