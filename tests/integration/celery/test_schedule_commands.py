"""`celery aiki schedule ...`, and what `run list` and `run show` say of a scheduled run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner
from sqlalchemy import update

from aiki_celery import Aiki, WorkflowRun, workflow
from aiki_celery.cli import aiki as command
from aiki_celery.engine.sweeps.schedules import sweep_schedules

NOON = datetime(2026, 10, 24, 12, tzinfo=timezone.utc)


@workflow(name="schedule-commands-report")
def report(run: WorkflowRun, region: str) -> str:
    """Ends at once."""
    return region


class Noon:
    """A clock that stands, until it is told."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> int:
        """The instant."""
        return int(self.at.timestamp() * 1_000_000)

    def sleep(self, seconds: float) -> None:
        """Passes time."""
        self.at += timedelta(seconds=seconds)


class Shell:
    """Gives commands to an application with one schedule.

    Args:
        aiki: Its extension.
        clock: Its clock.
    """

    def __init__(self, aiki: Aiki, clock: Noon) -> None:
        self.aiki, self.clock = aiki, clock

    def __call__(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        done = CliRunner().invoke(command, words, obj=SimpleNamespace(app=self.aiki.app))
        assert code == done.exit_code, done.output
        return done.output

    def sweep(self) -> None:
        """What a worker does; the message goes nowhere."""
        sweep_schedules(self.aiki.binding.sweep_context())


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A journal with a nightly schedule in Berlin's time; the clocks go back in the coming night."""
    clock = Noon()
    app = Celery("commands", broker="memory://", set_as_current=False)
    with Aiki(app, journal=f"sqlite:///{tmp_path}/commands.sqlite3", clock=clock) as aiki:
        aiki.schedules.create(
            report, name="nightly", cron="30 2 * * *", timezone="Europe/Berlin", args=("north",)
        )
        yield Shell(aiki, clock)
        aiki.close()


def facts(text: str) -> dict[str, str]:
    """The lines of `show`, by what they begin with."""
    return {line[:12].strip(): line[13:] for line in text.splitlines() if line.startswith("  ")}


def test_list_shows_each_schedule_in_its_own_time(shell: Shell) -> None:
    """And in UTC."""
    assert (
        "nightly  schedule-commands-report  active   cron 30 2 * * * Europe/Berlin  "
        "next 2026-10-25 02:30:00+02:00 (2026-10-25 00:30:00Z)"
    ) == shell("schedule", "list").strip()
    assert "" == shell("schedule", "list", "--workflow", "other", "--json")
    found = json.loads(shell("schedule", "list", "--json"))
    assert ("nightly", {"region": "north"}, "active", "2026-10-25T00:30:00+00:00") == (
        found["name"],
        found["input"],
        found["state"],
        found["next_due_at"],
    )


def test_show_tells_of_runs_and_of_what_was_skipped(shell: Shell) -> None:
    """A night later one run is queued, another night later it is in the way."""
    shell.clock.at += timedelta(days=1)
    shell.sweep()
    (run,) = shell.aiki.journal.views.find(schedule="nightly")
    shell.clock.at += timedelta(days=1)
    shell.sweep()
    shown = shell("schedule", "show", "nightly")
    told = facts(shown)
    assert f"2026-10-25 02:30:00+02:00 (2026-10-25 00:30:00Z)  run {run.id}" == told["last"]
    skipped = "2026-10-26 02:30:00+01:00 (2026-10-26 01:30:00Z): run"
    assert f"{skipped} {run.id} is not over: it is queued" == told["skipped"]
    assert ("skip", "the latest missed one", '{"region": "north"}') == (
        told["overlap"],
        told["catch up"],
        told["input"],
    )
    assert shown.partition("newest runs\n")[2].strip().startswith(f"{run.id}  {report.definition}  queued")
    as_json = json.loads(shell("schedule", "show", "nightly", "--json"))
    assert run.id == as_json["last_skip"]["run_id"]
    assert "nightly, due 2026-10-25 00:30:00Z" == facts(shell("run", "show", run.id))["schedule"]


def test_pause_and_resume_are_told(shell: Shell) -> None:
    """With when it is next due."""
    assert "Schedule nightly is paused.\n" == shell("schedule", "pause", "nightly")
    assert facts(shell("schedule", "show", "nightly"))["state"].startswith("paused since 2026-10-24 14:00:00")
    assert "is active; it is next due at 2026-10-25 02:30:00+02:00" in shell("schedule", "resume", "nightly")


def test_trigger_starts_a_run_that_is_listed(shell: Shell) -> None:
    """By `run list --schedule`."""
    run_id = shell("schedule", "trigger", "nightly").split()[1]
    assert [run_id] == [
        line.split()[0] for line in shell("run", "list", "--schedule", "nightly").splitlines()
    ]
    assert "No runs." in shell("run", "list", "--schedule", "other")


def test_backfill_takes_local_times_and_offsets(shell: Shell) -> None:
    """Without an offset, the schedule's own time; the ends included."""
    words = ("schedule", "backfill", "nightly")
    started = shell(*words, "2026-10-20T02:30", "2026-10-21T00:30:00Z").splitlines()
    assert 2 == len(started)
    assert ["2026-10-20T00:30:00+00:00", "2026-10-21T00:30:00+00:00"] == sorted(due_of(shell))
    assert "has its run" in shell(*words, "2026-10-20", "2026-10-21T03:00+02:00")
    assert "START: " in shell(*words, "yesterday", "2026-10-21", code=2)


def due_of(shell: Shell) -> list[str]:
    """The due times of the schedule's runs."""
    found = shell.aiki.journal.views.find(schedule="nightly")
    return [datetime.fromtimestamp((run.scheduled_for or 0) / 1e6, timezone.utc).isoformat() for run in found]


def far_away(shell: Shell) -> Shell:
    """As the schedule is to a machine that does not know its time zone."""
    schedules = shell.aiki.journal.schema.schedules
    with shell.aiki.journal.connections.autocommit() as connection:
        connection.execute(update(schedules).values(timezone="Mars/Olympus"))
    return shell


def test_time_zone_that_is_unknown_here_is_told_in_utc(shell: Shell) -> None:
    """What is known is shown, and what needs it says so."""
    far_away(shell)
    assert (
        "nightly  schedule-commands-report  active   cron 30 2 * * * Mars/Olympus  next 2026-10-25 00:30:00Z"
    ) == shell("schedule", "list").strip()
    assert "2026-10-25 00:30:00Z" == facts(shell("schedule", "show", "nightly"))["next"]
    told = shell("schedule", "backfill", "nightly", "2026-10-20", "2026-10-21", code=1)
    assert told.startswith("Error: Schedule nightly is told in the time zone 'Mars/Olympus'")


def test_backfill_from_the_beginning_of_the_calendar_is_refused(shell: Shell) -> None:
    """There is no day before it to look from."""
    told = shell("schedule", "backfill", "nightly", "0001-01-01", "0001-01-05", code=1)
    assert told.startswith("InputInvalid: nightly: argument 'start': it is too near to the beginning")


@pytest.mark.parametrize(
    "words", [("show", "x"), ("pause", "x"), ("trigger", "x"), ("backfill", "x", "2026-01-01", "2026-01-02")]
)
def test_unknown_schedule_is_an_error_of_one_line(shell: Shell, words: Any) -> None:
    """With exit code 1."""
    told = shell("schedule", *words, code=1)
    assert told.startswith("ScheduleNotFound: The journal has no schedule 'x'.")


def test_empty_list_says_where_declared_ones_are(shell: Shell) -> None:
    """They come with the first worker."""
    shell.aiki.schedules.delete("nightly")
    assert "once a worker has started" in shell("schedule", "list")


def test_trigger_and_backfill_are_done_here_where_tasks_are_eager(shell: Shell) -> None:
    """As `enqueue` is, with `task_always_eager`."""
    shell.aiki.app.conf.task_always_eager = True
    handles = shell.aiki.schedules.backfill("nightly", NOON - timedelta(days=2), NOON)
    handles.append(shell.aiki.schedules.trigger("nightly"))
    assert ["north"] * 3 == [handle.get(timeout=5) for handle in handles]
