"""Cron expressions: what they name, and what is wrong with those that name nothing."""

from __future__ import annotations

import re
from datetime import date

import pytest

from aiki_celery.model.cron import NICKNAMES, WEEKDAY, parse_cron, write_field

EVERY_HOUR = frozenset(range(24))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("5 * * * *", {5}),
        ("1,2,30-32 * * * *", {1, 2, 30, 31, 32}),
        ("*/20 * * * *", {0, 20, 40}),
        ("10-30/10 * * * *", {10, 20, 30}),
        ("58-1 * * * *", {58, 59, 0, 1}),
    ],
)
def test_minutes_are_numbers_lists_ranges_and_steps(text: str, minutes: set[int]) -> None:
    """As in crontab(5); a range may go on at the beginning, as with Celery."""
    assert minutes == parse_cron(text).minutes


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", {0}),
        ("7", {0}),
        ("0-7", set(range(7))),
        ("1-7", set(range(7))),
        ("5-7", {5, 6, 0}),
        ("mon-fri", {1, 2, 3, 4, 5}),
        ("FRI-Mon", {5, 6, 0, 1}),
        ("Sunday,wednesday", {0, 3}),
        ("*/3", {0, 3, 6}),
    ],
)
def test_weekdays_have_names_and_two_sundays(field: str, days: set[int]) -> None:
    """0 and 7 are Sunday; names are short or full, in any case."""
    assert days == parse_cron(f"0 0 * * {field}").weekdays


def test_months_have_names() -> None:
    """In short and in full."""
    assert {1, 6, 12} == parse_cron("0 0 1 jan,June,12 *").months


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_nicknames_are_expressions(nickname: str) -> None:
    """`@daily` and its kin, in any case."""
    assert parse_cron(NICKNAMES[nickname]) == parse_cron(nickname.upper())


def test_day_that_either_field_names_counts_in_text() -> None:
    """The 13th and every Friday, as in crontab(5)."""
    cron = parse_cron("0 0 13 * fri")
    assert [True, True, False] == [
        cron.names(date(2026, 11, day)) for day in (6, 13, 14)
    ]  # a Friday, Friday the 13th, a Saturday


def test_day_that_both_fields_name_counts_where_one_has_a_star_or_celery_means_it() -> None:
    """The 13th if it is a Friday."""
    both = parse_cron("0 0 13 * fri", both=True)
    starred = parse_cron("0 0 */2 * fri")
    assert ([False, True], [True, False]) == (
        [both.names(date(2026, 11, day)) for day in (6, 13)],
        [starred.names(date(2026, 11, day)) for day in (13, 20)],
    )


def test_hourly_is_what_is_due_in_every_hour() -> None:
    """However it is written."""
    texts = ("5 * * * *", "* 0-23 * * *", "0 */1 * * *", "0 */2 * * *", "0 3 * * *")
    assert [True, True, True, False, False] == [parse_cron(text).is_hourly for text in texts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 3 * *", "is not five fields"),
        ("0 0 3 * * *", "For seconds use every="),
        ("", "is not five fields"),
        ("60 * * * *", "minute: '60': 60 is not from 0 to 59"),
        ("* 24 * * *", "hour: '24'"),
        ("* * 0 * *", "day of the month: '0'"),
        ("* * * 13 *", "month: '13'"),
        ("* * * * 8", "day of the week: '8'"),
        ("* * * * mondays", "'mondays' is not a number"),
        ("*/0 * * * *", "a step is 1 or more"),
        ("5/10 * * * *", "as in 5-59/10"),
        ("1--3 * * * *", "'-3' is not a number"),
        ("1,,2 * * * *", "'' is not a number"),
        ("٣ * * * *", "is not a number"),
        ("0 0 30 2 *", "is never due"),
        ("0 0 31 4,6,9,11 *", "is never due"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_field(text: str, told: str) -> None:
    """The message names the field and what is wrong with it."""
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_cron(text)


def test_numbers_are_written_as_they_are_read() -> None:
    """A star for all of them."""
    assert ("*", "0,6") == (write_field(WEEKDAY, WEEKDAY.every), write_field(WEEKDAY, frozenset({6, 0})))
    with pytest.raises(ValueError, match="day of the week"):
        write_field(WEEKDAY, frozenset({9}))
