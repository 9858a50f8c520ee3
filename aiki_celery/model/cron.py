"""Cron expressions: which minutes, hours and days they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

#: Other names of common expressions.
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an expression: its name, its smallest and largest number, and words for them, in order."""

    name: str
    lowest: int
    highest: int
    words: Sequence[str] = ()

    @property
    def every(self) -> frozenset[int]:
        """All its numbers."""
        return frozenset(range(self.lowest, self.highest + 1))


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day of the month", 1, 31)
MONTH = Field("month", 1, 12, _MONTHS)
WEEKDAY = Field("day of the week", 0, 6, _DAYS)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)

#: Days of each month in the longest year.
_LONGEST = dict(enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. Sunday is weekday 0.

    ``either`` tells what two restricted day fields mean: a day that either of them names, or one that both do.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool = False

    def names(self, day: date) -> bool:
        """Tell whether it is due on this day."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either else by_month and by_week

    @property
    def is_hourly(self) -> bool:
        """Whether it is due in every hour of the day."""
        return self.hours == HOUR.every


def parse_cron(text: str, *, both: bool = False) -> Cron:
    """Read an expression: minute, hour, day of the month, month, day of the week.

    Args:
        text: Five fields of numbers, ranges, lists, ``*`` and steps; names of months and weekdays; or a nickname.
        both: Whether two restricted day fields mean a day that both name, as in Celery's ``crontab``; in cron itself
            they mean one that either names.

    Raises:
        ValueError: It is none; says which field and what is wrong with it.
    """
    fields = NICKNAMES.get(text.strip().lower(), text).lower().split()
    if len(fields) != len(FIELDS):
        hint = " For seconds use every=." if len(fields) == len(FIELDS) + 1 else ""
        raise ValueError(
            f"{text!r} is not five fields: minute, hour, day of the month, month, day of the week.{hint}"
        )
    minutes, hours, days, months, weekdays = (
        _parse_field(field, part) for field, part in zip(FIELDS, fields, strict=True)
    )
    either = not both and "*" not in fields[2] and "*" not in fields[4]
    if not either and not any(day <= _LONGEST[month] for month in months for day in days):
        raise ValueError(f"{text!r} is never due: no such month has such a day")
    return Cron(minutes, hours, days, months, weekdays, either)


def write_field(field: Field, numbers: frozenset[int]) -> str:
    """Write the numbers of a field as text.

    Raises:
        ValueError: There are none, or not all of them are the field's.
    """
    if not numbers or not numbers <= field.every:
        raise ValueError(f"{field.name}: {sorted(numbers)} are not from {field.lowest} to {field.highest}")
    return "*" if numbers == field.every else ",".join(map(str, sorted(numbers)))


def _parse_field(field: Field, text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        numbers |= _parse_part(field, part)
    return frozenset(numbers)


def _parse_part(field: Field, part: str) -> set[int]:
    span, slash, step_text = part.partition("/")
    step = _number(step_text, field, part) if slash else 1
    if step < 1:
        raise ValueError(f"{field.name}: {part!r}: a step is 1 or more")
    if span == "*":
        return set(range(field.lowest, field.highest + 1, step))
    first_text, dash, last_text = span.partition("-")
    if slash and not dash:
        raise ValueError(f"{field.name}: {part!r}: a step needs a range, as in {span}-{field.highest}/{step}")
    first = _named(first_text, field, part)
    last = _named(last_text, field, part) if dash else first
    return {_sunday(field, number) for number in _range(field, first, last)[::step]}


def _range(field: Field, first: int, last: int) -> list[int]:
    """Give the numbers of a range, which may go on at the beginning, as in ``fri-mon``."""
    if first <= last:
        return list(range(first, last + 1))
    return [*range(first, field.highest + 1), *range(field.lowest, last + 1)]


def _named(text: str, field: Field, part: str) -> int:
    """Give the number that a number or a word stands for; Sunday may be 7."""
    for number, word in enumerate(field.words, start=field.lowest):
        if text in (word, word[:3]):
            return number
    number = _number(text, field, part)
    highest = 7 if field is WEEKDAY else field.highest
    if not field.lowest <= number <= highest:
        raise ValueError(f"{field.name}: {part!r}: {number} is not from {field.lowest} to {field.highest}")
    return number


def _number(text: str, field: Field, part: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{field.name}: {part!r}: {text!r} is not a number")
    return int(text)


def _sunday(field: Field, number: int) -> int:
    return number % 7 if field is WEEKDAY else number
