"""Schedules that code declares come into the journal, and old and new workers do not fight over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from aiki_celery import JournalUnavailable, ScheduleConflict, schedule
from aiki_celery.definitions.registry import registry
from aiki_celery.journal.journal import Journal
from aiki_celery.model.schedules import NewSchedule
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.planned import (
    HOUR,
    NAME,
    Planner,
    make_overdue,
    planned_runs,
    report,
    schedule_row,
    set_schedule,
)
from tests.contract.rows import count, silence, wipe


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """The registry as it was, afterwards."""
    before = dict(registry._schedules)
    yield
    registry._schedules.clear()
    registry._schedules.update(before)


def plan(**facts: Any) -> NewSchedule:
    """What code declares."""
    made = schedule(report, name=NAME, **({"every": 3600} | facts))
    registry._schedules.pop(NAME)
    return made.plan("UTC")


OLD, NEW = plan(), plan(every=1800)


def worker(journal: Journal, worker_id: str, *plans: NewSchedule) -> Planner:
    """A live worker whose code declares these."""
    info = {"schedules": {one.name: one.fingerprint for one in plans}}
    journal.workers.beat(worker_id, "host", 1, json.dumps(info))
    return Planner(journal).declares(*plans)


def timing(journal: Journal) -> str:
    """The times that hold."""
    return str(schedule_row(journal).timing)


def test_declared_schedule_is_made_once(journal: Journal) -> None:
    """By the first worker that starts."""
    changed = [worker(journal, f"w{number}", OLD).sync(f"w{number}") for number in range(3)]
    assert ([1, 0, 0], "code", OLD.timing) == (changed, schedule_row(journal).origin, timing(journal))


def test_two_workers_that_start_at_once_make_one(journal: Journal) -> None:
    """Neither fails."""

    def check(_: None, outcome: Outcome) -> None:
        assert 1 == outcome.first + outcome.second
        assert 1 == count(journal, "schedules")

    planners = [Planner(journal).declares(OLD) for _ in range(2)]
    Interleaving(
        journal,
        lambda: wipe(journal),
        lambda _: planners[0].sync("a"),
        lambda _: planners[1].sync("b"),
        check,
    ).explore()


def test_rolling_deploy_keeps_the_old_declaration_until_the_last_old_worker_is_gone(journal: Journal) -> None:
    """Whoever starts, looks again or starts anew in between; and then the new one holds."""
    old = [worker(journal, f"old-{number}", OLD) for number in range(2)]
    new = [worker(journal, f"new-{number}", NEW) for number in range(2)]
    old[0].sync("old-0")
    changes = [new[0].sync("new-0"), old[1].sync("old-1"), new[1].sync("new-1"), old[0].sync("old-0")]
    journal.workers.remove("old-0")
    changes.append(new[0].sync("new-0"))
    assert ([0] * 5, OLD.timing) == (changes, timing(journal))
    silence(journal, "old-1", 60)
    assert (1, 0, NEW.timing) == (new[0].sync("new-0"), new[1].sync("new-1"), timing(journal))


def test_roll_back_is_a_deploy_like_any_other(journal: Journal) -> None:
    """What was declared before may come back."""
    for number, what in enumerate((OLD, NEW, OLD)):
        worker(journal, f"w{number}", what).sync(f"w{number}")
        journal.workers.remove(f"w{number}")
        assert what.timing == timing(journal)


def test_other_times_begin_anew_and_other_options_leave_what_is_due(journal: Journal) -> None:
    """A due time that was missed during the deploy is caught up if the times are the same."""
    worker(journal, "w", OLD).sync("w")
    due = make_overdue(journal, 5)
    changed = worker(journal, "w", replace(OLD, overlap="allow"))
    changed.sync("w")
    assert (due, "allow") == (schedule_row(journal).due_at, schedule_row(journal).overlap)
    worker(journal, "w", NEW).sync("w")
    assert schedule_row(journal).due_at > journal.now()


def test_paused_schedule_stays_paused_over_a_deploy(journal: Journal) -> None:
    """Code says what it is, people whether it is on."""
    planner = worker(journal, "w", OLD)
    planner.sync("w")
    planner.schedules.pause(NAME)
    worker(journal, "w", NEW).sync("w")
    assert ("paused", None) == (planner.schedules.get(NAME).state, schedule_row(journal).due_at)


def test_schedule_that_no_code_declares_is_retired(journal: Journal) -> None:
    """It starts nothing, and is shown; it can be deleted, and not resumed."""
    worker(journal, "w", OLD).sync("w")
    make_overdue(journal, 0)
    without = worker(journal, "w")
    assert 1 == without.sync("w")
    without.sweep()
    assert ("retired", None, 0) == (
        without.schedules.get(NAME).state,
        without.schedules.get(NAME).next_due_at,
        count(journal, "runs"),
    )
    with pytest.raises(ScheduleConflict, match="retired"):
        without.schedules.resume(NAME)
    without.schedules.delete(NAME)
    assert 0 == count(journal, "schedules")


def test_schedule_is_not_retired_while_a_worker_declares_it(journal: Journal) -> None:
    """Nor by a worker that does not have its workflow: that one knows nothing of it."""
    worker(journal, "old", OLD).sync("old")
    new = worker(journal, "new")
    assert 0 == new.sync("new")
    journal.workers.remove("old")
    set_schedule(journal, workflow="planned-elsewhere")
    assert (0, "code") == (new.sync("new"), schedule_row(journal).origin)


@pytest.mark.parametrize(("away", "is_caught_up"), [(600, True), (7200, False)])
def test_schedule_that_was_retired_for_a_moment_catches_up(
    journal: Journal, away: int, is_caught_up: bool
) -> None:
    """Its workers were all down while another one looked; after an hour it begins anew."""
    worker(journal, "w", OLD).sync("w")
    due = make_overdue(journal, 2)
    worker(journal, "w").sync("w")
    set_schedule(journal, updated_at=journal.now() - away * 1_000_000)
    worker(journal, "w", OLD).sync("w")
    row = schedule_row(journal)
    assert ("code", due if is_caught_up else (journal.now() // HOUR + 1) * HOUR) == (row.origin, row.due_at)
    assert row.fires_at == row.due_at


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_that_cannot_be_declared_keeps_no_other_from_it(
    journal: Journal, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another machine's time zone, say, which tells no next time here; a log line says so."""
    plans = [replace(OLD, name=f"innocent-{number}") for number in range(2)]
    plans.insert(at, replace(OLD, name="bad", timing='{"cron": "0 3 * * *"}', timezone="Mars/Olympus"))
    planner = worker(journal, "w", *plans)
    assert (2, ["innocent-0", "innocent-1"]) == (
        planner.sync("w"),
        [one.name for one in planner.schedules.list()],
    )
    assert "Schedule 'bad' cannot be declared: 'No time zone found" in caplog.text


@pytest.mark.parametrize(
    "error", [JournalUnavailable("gone"), OperationalError("INSERT", {}, Exception("gone"))]
)
def test_error_of_the_database_is_none_of_a_schedule(
    journal: Journal, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls hears of it, and tries again soon."""

    def fail(*_: Any) -> bool:
        raise error

    monkeypatch.setattr(journal.schedules, "insert", fail)
    with pytest.raises(type(error), match="gone"):
        worker(journal, "w", OLD).sync("w")


def test_schedule_that_cannot_be_read_here_keeps_no_other_from_being_started(journal: Journal) -> None:
    """What no calendar has; as a release without a longest duration wrote it."""
    planner = Planner(journal)
    for name in ("a", "b", "c"):
        planner.make(name=name, overdue=1)
    set_schedule(journal, "b", timing=json.dumps({"cron": "0 3 * * *"}), due_at=-(10**17), fires_at=-(10**17))
    planner.sweep()
    assert [1, 0, 1] == [len(planned_runs(journal, name)) for name in ("a", "b", "c")]


def test_declaration_leaves_one_made_at_run_time_alone(journal: Journal) -> None:
    """The name is taken; a log line says so."""
    planner = worker(journal, "w", OLD)
    planner.make(every=60)
    assert (0, "runtime") == (planner.sync("w"), schedule_row(journal).origin)


@pytest.mark.parametrize("verb", ["update", "delete", "create"])
def test_declared_schedule_is_changed_in_code_alone(journal: Journal, verb: str) -> None:
    """Calls may pause, trigger and fill in."""
    planner = worker(journal, "w", OLD)
    planner.sync("w")
    ask = {
        "update": lambda: planner.schedules.update(NAME, every=60),
        "delete": lambda: planner.schedules.delete(NAME),
        "create": lambda: planner.make(every=60),
    }[verb]
    with pytest.raises(ScheduleConflict, match="code declares it") as refused:
        ask()
    assert "delete or update" not in str(refused.value)
    planner.schedules.trigger(NAME)
    assert OLD.timing == timing(journal)
