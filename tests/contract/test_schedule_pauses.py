"""A schedule that was paused for long: what was due meanwhile starts nothing, whatever its policies say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aiki_celery.journal.journal import Journal
from tests.contract.planned import HOUR, NAME, Planner, due_times, schedule_row, set_schedule


@pytest.mark.parametrize(
    "policy", [{}, {"overlap": "allow", "catchup_window": timedelta(days=1)}], ids=["skip", "catch up"]
)
def test_due_times_of_a_pause_are_not_caught_up(journal: Journal, policy: dict[str, Any]) -> None:
    """Five of them lie in between, and one was due already when it was paused."""
    planner = Planner(journal)
    planner.make(overdue=6, **policy)
    planner.schedules.pause(NAME)
    since = journal.now() - 5 * HOUR
    set_schedule(journal, paused_at=since, updated_at=since)
    before = journal.now()

    planner.schedules.resume(NAME)

    planner.sweep()
    due = schedule_row(journal).due_at
    assert ([], None) == (due_times(journal), planner.schedules.get(NAME).last_skip)
    assert due in {(now // HOUR + 1) * HOUR for now in (before, journal.now())}
