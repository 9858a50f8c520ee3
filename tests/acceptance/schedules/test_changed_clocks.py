"""C3: sweeps through the nights in which the clocks are changed start what the clock on the wall says, once each."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from celery import Celery

from aiki_celery import Aiki
from aiki_celery.engine.sweeps.schedules import sweep_schedules
from aiki_celery.model.clock import from_datetime, to_datetime
from tests.acceptance.schedules.definitions import tick

MINUTE = 60_000_000


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        """The instant, in microseconds."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Goes on."""
        self.at += int(seconds * 1_000_000)


NIGHTS = {
    "Berlin, forward": ("Europe/Berlin", "2026-03-29", "02:30", ["03:00 +0200"], 23),
    "Berlin, back": ("Europe/Berlin", "2026-10-25", "02:30", ["02:30 +0200"], 25),
    "New York, forward": ("America/New_York", "2026-03-08", "02:30", ["03:00 -0400"], 23),
    "New York, back": ("America/New_York", "2026-11-01", "01:30", ["01:30 -0400"], 25),
    "Lord Howe, forward": ("Australia/Lord_Howe", "2026-10-04", "02:15", ["02:30 +1100"], 24),
    "Lord Howe, back": ("Australia/Lord_Howe", "2026-04-05", "01:45", ["01:45 +1100"], 25),
}


@pytest.mark.parametrize(("zone", "day", "time", "expected", "hours"), NIGHTS.values(), ids=NIGHTS)
def test_night_starts_one_run_and_each_hour_that_is_there_starts_one(
    zone: str, day: str, time: str, expected: list[str], hours: int, tmp_path: Path
) -> None:
    """A fixed time once, before or after the gap; an hourly one as often as the clock shows its minute."""
    there = ZoneInfo(zone)
    start = from_datetime(datetime.fromisoformat(day).replace(tzinfo=there))
    end = from_datetime((datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=there))
    clock = Clock(start - 30 * MINUTE)
    app = Celery("clocks", broker="memory://", set_as_current=False)
    with Aiki(app, journal=f"sqlite:///{tmp_path}/clocks.sqlite3", clock=clock) as aiki:
        hour, minute = time.split(":")
        for name, cron in (("nightly", f"{minute} {hour} * * *"), ("hourly", f"{minute} * * * *")):
            aiki.schedules.create(tick, name=name, cron=cron, timezone=zone, overlap="allow", args=(name,))
        context = aiki.binding.sweep_context()
        while clock.at < end:
            clock.at += 5 * MINUTE
            while sweep_schedules(context) == 0.0:
                pass
        due = {
            name: sorted(run.scheduled_for or 0 for run in aiki.journal.views.find(schedule=name, limit=100))
            for name in ("nightly", "hourly")
        }
        aiki.close()
    told = [to_datetime(moment).astimezone(there).strftime("%H:%M %z") for moment in due["nightly"]]
    in_day = [moment for moment in due["hourly"] if start <= moment < end]
    assert (expected, hours) == (told, len(in_day))
