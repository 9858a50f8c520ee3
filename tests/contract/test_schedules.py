"""What a sweep does about due schedules: each due time starts exactly the runs that its policies say."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import pytest

from aiki_celery import RunStatus, ScheduleConflict, ScheduleError, ScheduleNotFound
from aiki_celery.engine.sweeps.schedules import fire
from aiki_celery.errors import DefinitionInvalid, InputInvalid
from aiki_celery.journal.journal import Journal
from aiki_celery.model.clock import to_datetime
from aiki_celery.model.events import RunEvent, ScheduleFired, ScheduleFiring, ScheduleSkipped
from tests.contract.planned import (
    HOUR,
    NAME,
    Planner,
    due_times,
    make_overdue,
    newer_report,
    planned_runs,
    report,
    schedule_row,
    set_schedule,
)
from tests.contract.rows import count, run_row, set_run
from tests.contract.stories import ALICE, queued

#: Workers that sweep at once, and how often.
WORKERS, ROUNDS = 10, 4


@pytest.fixture
def planner(journal: Journal) -> Planner:
    """A worker."""
    return Planner(journal)


def test_due_time_starts_a_run_of_the_highest_version(journal: Journal, planner: Planner) -> None:
    """With the schedule's arguments and options, queued, its message sent, the due time in its row."""
    planner.schedules.create(
        report.options(queue="reports", priority=3, tags=["nightly"], deadline=60),
        name=NAME,
        every=3600,
        args=("south",),
    )
    due = make_overdue(journal, 0)
    planner.sweep()
    (row,) = planned_runs(journal)
    assert (newer_report.definition, "queued", "reports", 3, "nightly", due) == (
        row.definition,
        row.status,
        row.queue,
        row.priority,
        row.tags,
        row.scheduled_for,
    )
    assert ({"region": "south"}, 60) == (
        json.loads(row.input),
        round((row.deadline_at - row.created_at) / 1_000_000),
    )
    assert [row.id] == planner.house.sent
    stored = schedule_row(journal)
    assert (due + HOUR, due + HOUR, due, row.id) == (
        stored.due_at,
        stored.fires_at,
        stored.last_due_at,
        stored.last_run_id,
    )


def test_run_knows_its_due_time(journal: Journal, planner: Planner) -> None:
    """In the workflow it is an aware datetime; a run that no schedule has started has none."""
    planner.make()
    due = make_overdue(journal, 0)
    planner.sweep()
    run_id = planned_runs(journal)[0].id
    set_run(journal, run_id, version="1.0.0", definition=report.definition)
    planner.house.take(run_id)
    other = planner.house.result_of(report, "east")
    assert [f'"north {to_datetime(due).isoformat()}"', "east None"] == [
        run_row(journal, run_id).output,
        other,
    ]


def test_next_look_is_wanted_when_the_next_is_due(journal: Journal, planner: Planner) -> None:
    """The earliest of them decides; nothing is waited for where there is none."""
    assert None is planner.sweep()
    planner.make(name="hourly")
    planner.make(name="often", every=600)
    wanted = planner.sweep()
    assert wanted is not None
    assert 0 < wanted <= 600
    make_overdue(journal, 0, "often")
    assert 0.0 == planner.sweep()


def test_schedule_of_an_unknown_workflow_is_left_for_others(journal: Journal, planner: Planner) -> None:
    """A worker without the workflow starts nothing, and looks no more often because of it."""
    planner.make(overdue=0)
    set_schedule(journal, workflow="planned-elsewhere")
    assert (None, 0) == (planner.sweep(), count(journal, "runs"))


def test_schedule_that_is_given_an_unknown_workflow_in_that_moment_is_left_for_others(
    journal: Journal, planner: Planner
) -> None:
    """It was found as one of ours, and is none when it is locked: it stays due."""
    planner.make()
    due = make_overdue(journal, 0)
    set_schedule(journal, workflow="not-here")
    assert not fire(planner.context, NAME)
    assert (due, 0) == (schedule_row(journal).fires_at, count(journal, "runs"))


def test_arguments_that_no_longer_fit_are_told_and_tried_again_in_a_minute(
    journal: Journal, planner: Planner
) -> None:
    """The due time is not lost: code that they fit may come."""
    planner.make(overdue=0)
    set_schedule(journal, input='{"region":7}')
    planner.sweep()
    row, skip = schedule_row(journal), planner.schedules.get(NAME).last_skip
    assert skip is not None
    assert "argument 'region'" in skip.reason
    assert (0, True) == (count(journal, "runs"), 50_000_000 < row.fires_at - journal.now() <= 60_000_000)
    set_schedule(journal, input='{"region":"west"}', fires_at=row.due_at)
    planner.sweep()
    assert [row.due_at] == due_times(journal)


def test_one_that_cannot_be_read_does_not_hold_up_the_others(journal: Journal, planner: Planner) -> None:
    """A time zone that is not known here is another worker's affair."""
    planner.make(name="first", overdue=3)
    planner.make(name="second", overdue=0)
    set_schedule(journal, "first", timing='{"cron": "0 * * * *"}', timezone="Mars/Olympus")
    planner.sweep()
    assert (0, 1) == (len(planned_runs(journal, "first")), len(planned_runs(journal, "second")))


def test_refused_message_is_sent_by_a_sweep(journal: Journal) -> None:
    """The run is in the journal, whatever the broker says."""
    planner = Planner(journal)
    planner.make(overdue=0)
    planner.sweep()
    (row,) = planned_runs(journal)
    journal.timers.mark_unpublished([row.id])
    set_run(journal, row.id, due_at=1)
    sent = journal.deliveries.take_unpublished([row.definition], 10)
    assert [row.id] == [envelope.run_id for envelope in sent]


@pytest.mark.parametrize("status", ["queued", "running", "sleeping", "paused", "stalled"])
def test_skip_starts_none_beside_a_run_that_is_not_over(
    journal: Journal, planner: Planner, status: str
) -> None:
    """And says so: in the schedule, and to hooks."""
    heard: list[RunEvent] = []
    planner.house.hooks.on(ScheduleSkipped, heard.append)
    planner.make(overdue=0)
    planner.sweep()
    (first,) = planned_runs(journal)
    set_run(journal, first.id, status=status)
    due = make_overdue(journal, -1)
    set_schedule(journal, fires_at=1)
    planner.sweep()
    reason = f"run {first.id} is not over: it is {status}"
    skip = planner.schedules.get(NAME).last_skip
    assert skip is not None
    assert (1, [ScheduleSkipped(first.id, report.name, NAME, due, due, reason)]) == (
        count(journal, "runs"),
        heard,
    )
    assert (to_datetime(due), reason, first.id) == (skip.last, skip.reason, skip.run_id)
    assert due + HOUR == schedule_row(journal).due_at


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_skip_goes_on_once_the_run_is_over(journal: Journal, planner: Planner, status: str) -> None:
    """However it ended."""
    planner.make(overdue=0)
    planner.sweep()
    set_run(journal, planned_runs(journal)[0].id, status=status)
    make_overdue(journal, -1)
    set_schedule(journal, fires_at=1)
    planner.sweep()
    assert 2 == len(planned_runs(journal))


def test_allow_starts_another_one(journal: Journal, planner: Planner) -> None:
    """Beside the one that is not over."""
    planner.make(overdue=0, overlap="allow")
    planner.sweep()
    make_overdue(journal, -1)
    set_schedule(journal, fires_at=1)
    planner.sweep()
    assert ["queued", "queued"] == [row.status for row in planned_runs(journal)]


def test_cancel_previous_asks_the_cancel_first(journal: Journal, planner: Planner) -> None:
    """One that has not begun is cancelled; one that runs is asked; each is asked once."""
    planner.make(overdue=0, overlap="cancel_previous")
    planner.sweep()
    (first,) = planned_runs(journal)
    planner.house.executor.claim(first.id, ALICE)
    make_overdue(journal, -1)
    set_schedule(journal, fires_at=1)
    planner.sweep()
    make_overdue(journal, -2)
    set_schedule(journal, fires_at=1)
    planner.sweep()
    rows = planned_runs(journal)
    assert [("running", "cancel"), ("cancelled", None), ("queued", None)] == [
        (row.status, row.control) for row in rows
    ]
    assert {f"a newer run of schedule {NAME!r} is due"} == {row.cancel_reason for row in rows[:2]}


def test_other_runs_of_the_workflow_are_no_overlap(journal: Journal, planner: Planner) -> None:
    """Only the schedule's own."""
    queued(journal, workflow=report.name)
    planner.make(overdue=0)
    planner.sweep()
    assert 1 == len(planned_runs(journal))


@pytest.mark.parametrize("overlap", ["skip", "allow", "cancel_previous"])
def test_each_due_time_starts_one_run_with_ten_workers(journal: Journal, overlap: str) -> None:
    """I15: all of them sweep at the same moment, again and again, over several schedules."""
    names = [f"many-{number}" for number in range(3)]
    planners = [Planner(journal) for _ in range(WORKERS)]
    for name in names:
        planners[0].make(name=name, overlap=overlap)
    expected: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for row in (row for name in names for row in planned_runs(journal, name)):
            set_run(journal, row.id, status="completed")
        for name in names:
            due = schedule_row(journal, name).due_at
            expected[name].append(due)
            set_schedule(journal, name, fires_at=1)
        together = Barrier(WORKERS)

        def work(planner: Planner, together: Barrier = together) -> None:
            together.wait(30)
            planner.sweep()
            planner.sweep()

        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(work, planner) for planner in planners]:
                done.result(60)
    assert expected == {name: due_times(journal, name) for name in names}
    sent = [run_id for planner in planners for run_id in planner.house.sent]
    assert (len(set(sent)), ROUNDS * len(names)) == (len(sent), len(sent))


def test_events_tell_of_each_run(journal: Journal, planner: Planner) -> None:
    """Before it is written, and after."""
    heard: list[RunEvent] = []
    for kind in (ScheduleFiring, ScheduleFired):
        planner.house.hooks.on(kind, heard.append)
    planner.make()
    due = make_overdue(journal, 0)
    planner.sweep()
    run_id = planned_runs(journal)[0].id
    assert [kind(run_id, report.name, NAME, due) for kind in (ScheduleFiring, ScheduleFired)] == heard


def test_window_catches_up_with_allow(journal: Journal, planner: Planner) -> None:
    """Each within it, in one transaction; what is older is told to be missed."""
    planner.make(overdue=10, overlap="allow", catchup_window=timedelta(hours=3, minutes=59))
    last = journal.now() // HOUR * HOUR
    planner.sweep()
    found = due_times(journal)
    assert found in ([last - 3 * HOUR, last - 2 * HOUR, last - HOUR, last], [*found[:-1], last])
    assert 3 <= len(found) <= 4
    skip = planner.schedules.get(NAME).last_skip
    assert skip is not None
    assert found[0] - HOUR == int(skip.last.timestamp()) * 1_000_000


def test_due_time_that_was_filled_in_by_hand_is_not_started_again(journal: Journal, planner: Planner) -> None:
    """A backfill of what a sweep was about to do."""
    planner.make()
    due = make_overdue(journal, 0)
    handles = planner.schedules.backfill(NAME, to_datetime(due), to_datetime(due))
    planner.sweep()
    assert ([due], due + HOUR) == (due_times(journal), schedule_row(journal).due_at)
    assert [handle.id for handle in handles] == planner.house.sent


def test_pause_starts_nothing_and_resume_begins_with_the_next(journal: Journal, planner: Planner) -> None:
    """What was due in between is not caught up."""
    planner.make(overdue=3)
    paused = planner.schedules.pause(NAME)
    planner.sweep()
    assert (("paused", None, None), 0) == (
        (paused.state, paused.next_due_at, paused.next_start_at),
        count(journal, "runs"),
    )
    assert paused == planner.schedules.pause(NAME)
    resumed = planner.schedules.resume(NAME)
    planner.sweep()
    following = to_datetime((journal.now() // HOUR + 1) * HOUR)
    assert ("active", following, 0) == (resumed.state, resumed.next_due_at, count(journal, "runs"))
    assert resumed == planner.schedules.resume(NAME)


def test_trigger_starts_a_run_now_whatever_its_state(journal: Journal, planner: Planner) -> None:
    """Beside the due times, of which none is used up; twice is two."""
    planner.make()
    before = schedule_row(journal).due_at
    planner.schedules.pause(NAME)
    started = [planner.schedules.trigger(NAME).id for _ in range(2)]
    assert started == planner.house.sent
    assert sorted(started) == sorted(row.id for row in planned_runs(journal))
    assert before == int(planner.schedules.resume(NAME).next_due_at.timestamp() * 1e6)  # type: ignore[union-attr]


def test_trigger_at_an_instant_that_is_taken_takes_the_next(journal: Journal) -> None:
    """Two at the very same microsecond are two runs."""
    planner = Planner(journal)
    planner.make()
    run = planner.schedules._run(journal.schedules.get(NAME).plan, report, 1_000)  # type: ignore[union-attr]
    other = planner.schedules._run(journal.schedules.get(NAME).plan, report, 1_000)  # type: ignore[union-attr]
    journal.schedules.insert_beside(run)
    assert 1_001 == journal.schedules.insert_beside(other).scheduled_for
    assert [1_000, 1_001] == due_times(journal)


def test_backfill_starts_what_has_no_run_and_nothing_that_lies_ahead(
    journal: Journal, planner: Planner
) -> None:
    """Whatever overlap says; asked again, it starts nothing."""
    planner.make()
    last = journal.now() // HOUR * HOUR
    start, end = to_datetime(last - 5 * HOUR), to_datetime(last + 50 * HOUR)
    planner.schedules.backfill(NAME, to_datetime(last - 3 * HOUR), to_datetime(last - 3 * HOUR))
    handles = planner.schedules.backfill(NAME, start, end)
    assert [last - hour * HOUR for hour in (5, 4, 3, 2, 1, 0)] == due_times(journal)
    assert (5, []) == (len(handles), planner.schedules.backfill(NAME, start, end))


def test_backfill_of_too_much_starts_nothing(journal: Journal, planner: Planner) -> None:
    """And says how to go on."""
    planner.make()
    now = datetime.now(timezone.utc)
    with pytest.raises(InputInvalid, match="go on in parts"):
        planner.schedules.backfill(NAME, now - timedelta(days=60), now)
    with pytest.raises(InputInvalid, match="time zone"):
        planner.schedules.backfill(NAME, datetime(2026, 1, 1), now)  # noqa: DTZ001
    with pytest.raises(InputInvalid, match=r"'end': .* lies before the start, "):
        planner.schedules.backfill(NAME, now, now - timedelta(days=1))
    assert 0 == count(journal, "runs")


def test_create_gives_the_same_again_and_refuses_another(planner: Planner) -> None:
    """A name is one schedule."""
    planner.make()
    planner.make()
    with pytest.raises(ScheduleConflict, match="another one of this name"):
        planner.make(every=60)
    assert 1 == len(planner.schedules.list())


def test_update_changes_what_is_given(journal: Journal, planner: Planner) -> None:
    """Other times begin anew; everything else leaves the next due time as it is."""
    planner.make(overdue=2)
    due = schedule_row(journal).due_at
    planner.schedules.update(NAME, overlap="allow", args=("west",), catchup_window=60, jitter=5)
    kept = schedule_row(journal).due_at
    changed = planner.schedules.update(NAME, cron="0 3 * * *", timezone="Asia/Tokyo", catchup_window=None)
    assert (due, "cron 0 3 * * *", "Asia/Tokyo", "allow", {"region": "west"}, None) == (
        kept,
        changed.timing,
        changed.timezone,
        changed.overlap,
        changed.input,
        changed.catchup_window,
    )
    assert changed.next_due_at is not None
    assert (18, 0) == (changed.next_due_at.hour, changed.next_due_at.minute)


BAD: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "unknown": (DefinitionInvalid, {"crom": "* * * * *"}),
    "cron": (DefinitionInvalid, {"cron": "x"}),
    "both": (DefinitionInvalid, {"cron": "* * * * *", "every": 5}),
    "arguments": (InputInvalid, {"args": (7,)}),
    "overlap": (DefinitionInvalid, {"overlap": "never"}),
    "workflow": (DefinitionInvalid, {"workflow": "report"}),
}


@pytest.mark.parametrize(("error", "changes"), BAD.values(), ids=BAD)
def test_bad_update_changes_nothing(
    journal: Journal, planner: Planner, error: type[Exception], changes: dict[str, Any]
) -> None:
    """It is refused before anything is written."""
    planner.make()
    before = tuple(schedule_row(journal))
    with pytest.raises(error):
        planner.schedules.update(NAME, **changes)
    assert before == tuple(schedule_row(journal))


def test_delete_takes_the_schedule_and_leaves_its_runs(journal: Journal, planner: Planner) -> None:
    """And its name is free again."""
    planner.make(overdue=0)
    planner.sweep()
    planner.schedules.delete(NAME)
    assert (0, 1) == (count(journal, "schedules"), count(journal, "runs"))
    planner.make(every=60)


ASKED: dict[str, Callable[[Planner], Any]] = {
    "get": lambda planner: planner.schedules.get("none"),
    "pause": lambda planner: planner.schedules.pause("none"),
    "resume": lambda planner: planner.schedules.resume("none"),
    "update": lambda planner: planner.schedules.update("none", every=5),
    "delete": lambda planner: planner.schedules.delete("none"),
    "trigger": lambda planner: planner.schedules.trigger("none"),
    "backfill": lambda planner: planner.schedules.backfill(
        "none", datetime.now(timezone.utc), datetime.now(timezone.utc)
    ),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_schedule_that_is_not_there_is_named(planner: Planner, ask: Callable[[Planner], Any]) -> None:
    """Whatever is asked of it."""
    with pytest.raises(ScheduleNotFound, match="'none'"):
        ask(planner)


def test_trigger_needs_the_workflow(journal: Journal, planner: Planner) -> None:
    """The error says what is missing."""
    planner.make()
    set_schedule(journal, workflow="planned-elsewhere")
    with pytest.raises(ScheduleError, match="planned-elsewhere"):
        planner.schedules.trigger(NAME)


def test_runs_are_found_by_their_schedule(journal: Journal, planner: Planner) -> None:
    """As `run list --schedule` does, newest first."""
    queued(journal)
    planner.make()
    started = [planner.schedules.trigger(NAME).id for _ in range(2)]
    found = journal.views.find(schedule=NAME)
    assert (set(started), {NAME}, {RunStatus.QUEUED}) == (
        {run.id for run in found},
        {run.schedule for run in found},
        {run.status for run in found},
    )
