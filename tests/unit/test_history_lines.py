"""The lines of a run's history."""

from __future__ import annotations

import pytest

from aiki_celery.journal.history import MAX_REASON, clean, parse
from aiki_celery.model.records import Transition
from aiki_celery.model.status import RunStatus


def test_parse_reads_every_line() -> None:
    """State, instant and reason, also an empty one and one with a tab."""
    text = "queued\t1\tenqueued\nrunning\t2\t\nfailed\t3\ta\tb\n"
    assert [
        Transition(RunStatus.QUEUED, 1, "enqueued"),
        Transition(RunStatus.RUNNING, 2, ""),
        Transition(RunStatus.FAILED, 3, "a\tb"),
    ] == parse(text)


@pytest.mark.parametrize(
    "breaker", ["\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_clean_reason_stays_on_its_line(breaker: str) -> None:
    """Whatever Python takes for the end of a line, a reason has none of it."""
    line = f"failed\t1\t{clean(f'one{breaker}two')}\n"
    assert [Transition(RunStatus.FAILED, 1, "one two")] == parse(line)


def test_clean_reason_is_short() -> None:
    """A long reason is cut."""
    assert "x" * MAX_REASON == clean("x" * 10_000)
