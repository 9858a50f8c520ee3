"""A sweep and somebody else at the same schedule, stepped through one another; and answers that are lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from aiki_celery import ScheduleNotFound
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.schedules.locked import ScheduleStatements
from aiki_celery.model.clock import to_datetime
from tests.contract.failing import lost_answer
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.planned import (
    HOUR,
    NAME,
    Planner,
    due_times,
    make_overdue,
    planned_runs,
    report,
    schedule_row,
    set_schedule,
)
from tests.contract.rows import count, wipe


@pytest.fixture
def planners(journal: Journal) -> tuple[Planner, Planner]:
    """Two workers."""
    return Planner(journal), Planner(journal)


def scene(journal: Journal, planner: Planner, **facts: Any) -> Callable[[], int]:
    """Makes a schedule that is due, anew each time, and gives the due time."""

    def prepare() -> int:
        wipe(journal)
        planner.make(**facts)
        return make_overdue(journal, 0)

    return prepare


def no_error(outcome: Outcome) -> None:
    """Neither of the two came upon an error."""
    for ended in (outcome.first, outcome.second):
        assert not isinstance(ended, BaseException), ended


def test_two_sweeps_start_one_run(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """Whichever statement of the first the second comes by at."""
    one, other = planners

    def check(due: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert ([due], due + HOUR) == (due_times(journal), schedule_row(journal).due_at)

    Interleaving(
        journal, scene(journal, one), lambda _: one.sweep(), lambda _: other.sweep(), check
    ).explore()


def test_pause_comes_before_or_after_the_start(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """There is a run or there is none; in the end the schedule is paused, with nothing due."""
    one, other = planners
    started: set[int] = set()

    def check(_: int, outcome: Outcome) -> None:
        no_error(outcome)
        row = schedule_row(journal)
        assert (True, None, None) == (row.paused_at is not None, row.due_at, row.fires_at)
        started.add(len(planned_runs(journal)))

    Interleaving(
        journal, scene(journal, one), lambda _: one.sweep(), lambda _: other.schedules.pause(NAME), check
    ).explore()
    assert {0, 1} == started


def test_sweep_heeds_a_pause_that_is_under_way(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """The other way round: the pause stands still, and the sweep comes by."""
    one, other = planners

    def check(_: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert "paused" == one.schedules.get(NAME).state
        assert len(planned_runs(journal)) <= 1

    Interleaving(
        journal, scene(journal, one), lambda _: one.schedules.pause(NAME), lambda _: other.sweep(), check
    ).explore()


def test_delete_comes_before_or_after_the_start(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """A run that was started stays; nothing of the schedule is left."""
    one, other = planners
    started: set[int] = set()

    def check(_: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert 0 == count(journal, "schedules")
        started.add(count(journal, "runs"))

    Interleaving(
        journal, scene(journal, one), lambda _: one.sweep(), lambda _: other.schedules.delete(NAME), check
    ).explore()
    assert {0, 1} == started


def test_backfill_and_sweep_start_one_run(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """Of the due time that both are about."""
    one, other = planners

    def check(due: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert [due] == due_times(journal)

    def backfill(due: int) -> Any:
        return other.schedules.backfill(NAME, to_datetime(due), to_datetime(due))

    Interleaving(journal, scene(journal, one), lambda _: one.sweep(), backfill, check).explore()


def test_update_and_sweep_agree_about_what_comes_next(
    journal: Journal, planners: tuple[Planner, Planner]
) -> None:
    """The times that the update gives hold in the end."""
    one, other = planners

    def check(_: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert "cron 0 3 * * *" == one.schedules.get(NAME).timing
        assert 0 == (schedule_row(journal).due_at // HOUR - 3) % 24

    Interleaving(
        journal,
        scene(journal, one),
        lambda _: one.sweep(),
        lambda _: other.schedules.update(NAME, cron="0 3 * * *"),
        check,
    ).explore()


def test_two_that_cancel_the_previous_leave_one(journal: Journal, planners: tuple[Planner, Planner]) -> None:
    """Two sweeps over a run that is in the way."""
    one, other = planners
    make = scene(journal, one, overlap="cancel_previous")

    def prepare() -> int:
        due = make()
        one.sweep()
        set_schedule(journal, fires_at=1)
        return due + HOUR

    def check(due: int, outcome: Outcome) -> None:
        no_error(outcome)
        assert [("cancelled", due - HOUR), ("queued", due)] == [
            (row.status, row.scheduled_for) for row in planned_runs(journal)
        ]

    Interleaving(journal, prepare, lambda _: one.sweep(), lambda _: other.sweep(), check).explore()


def test_two_that_make_the_same_schedule_make_one(
    journal: Journal, planners: tuple[Planner, Planner]
) -> None:
    """As two workers that start at once do."""
    one, other = planners

    def check(_: None, outcome: Outcome) -> None:
        no_error(outcome)
        assert 1 == count(journal, "schedules")

    Interleaving(
        journal, lambda: wipe(journal), lambda _: one.make(), lambda _: other.make(), check
    ).explore()


def test_sweep_whose_answer_is_lost_starts_one_run_and_sends_it(journal: Journal) -> None:
    """The second try finds what the first has written."""
    planner = Planner(journal)
    planner.make()
    due = make_overdue(journal, 0)
    with lost_answer(journal):
        planner.sweep()
    (row,) = planned_runs(journal)
    assert ([row.id], due, due + HOUR) == (
        planner.house.sent,
        row.scheduled_for,
        schedule_row(journal).due_at,
    )


def test_sweep_whose_answer_is_lost_while_more_is_due_sends_all(journal: Journal) -> None:
    """What the first try has started is sent with what the second one starts."""
    planner = Planner(journal, batch_size=1)
    planner.make(overdue=2, overlap="allow", catchup_window=timedelta(days=1))
    with lost_answer(journal):
        planner.sweep()
    runs = planned_runs(journal)
    assert (2, [row.id for row in runs]) == (len(runs), planner.house.sent)


def test_sweep_that_loses_its_connection_tries_again_at_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a schedule whose arguments do not fit."""
    planner = Planner(journal)
    planner.make()
    due = make_overdue(journal, 0)
    taken, lost = ScheduleStatements.taken, OperationalError("SELECT", {}, Exception("gone"), None, True)
    tries = iter([lost])

    def lose_once(self: ScheduleStatements, connection: Any, schedule: str, first: int) -> dict[int, str]:
        for error in tries:
            raise error
        return taken(self, connection, schedule, first)

    monkeypatch.setattr(ScheduleStatements, "taken", lose_once)
    planner.sweep()
    assert ([due], None) == (due_times(journal), schedule_row(journal).skip_note)


def test_create_whose_answer_is_lost_makes_one(journal: Journal) -> None:
    """It is given as made."""
    with lost_answer(journal):
        Planner(journal).make()
    assert 1 == count(journal, "schedules")


@pytest.mark.parametrize("verb", ["pause", "resume", "update"])
def test_change_whose_answer_is_lost_is_made_once(journal: Journal, verb: str) -> None:
    """The second try changes nothing any more."""
    planner = Planner(journal)
    planner.make()
    if verb == "resume":
        planner.schedules.pause(NAME)
    with lost_answer(journal):
        view = (
            planner.schedules.update(NAME, every=60)
            if verb == "update"
            else getattr(planner.schedules, verb)(NAME)
        )
    assert {"pause": "paused", "resume": "active", "update": "active"}[verb] == view.state


def test_delete_whose_answer_is_lost_is_done(journal: Journal) -> None:
    """The second try finds nothing, and that is well."""
    planner = Planner(journal)
    planner.make()
    with lost_answer(journal):
        planner.schedules.delete(NAME)
    with pytest.raises(ScheduleNotFound):
        planner.schedules.get(NAME)


def test_trigger_whose_answer_is_lost_starts_one_run(journal: Journal) -> None:
    """And gives its handle."""
    planner = Planner(journal)
    planner.make()
    with lost_answer(journal):
        handle = planner.schedules.trigger(NAME)
    assert [handle.id] == [row.id for row in planned_runs(journal)] == planner.house.sent


def test_backfill_whose_answer_is_lost_gives_what_it_started(journal: Journal) -> None:
    """Each due time once, each with its handle, each sent."""
    planner = Planner(journal)
    planner.make()
    last = journal.now() // HOUR * HOUR
    with lost_answer(journal):
        handles = planner.schedules.backfill(NAME, to_datetime(last - 2 * HOUR), to_datetime(last))
    ids = [row.id for row in planned_runs(journal)]
    assert (3, ids, ids) == (len(ids), [handle.id for handle in handles], planner.house.sent)


def test_unique_index_is_the_last_safeguard(journal: Journal) -> None:
    """Without the look at what is taken, a second run of a due time is refused by the database."""
    planner = Planner(journal)
    planner.make()
    stored = journal.schedules.get(NAME)
    assert stored is not None
    runs = [planner.schedules._run(stored.plan, report, 7) for _ in range(2)]
    journal.schedules.locked(NAME, lambda locked: locked.start(runs[:1]))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        journal.schedules.locked(NAME, lambda locked: locked.start(runs[1:]))
    assert [7] == due_times(journal)
