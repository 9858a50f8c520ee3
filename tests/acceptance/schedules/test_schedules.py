"""Schedules on real workers: no beat, no leader, and each due time starts one run."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from aiki_celery import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.schedules.definitions import linger, tick
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants, read_runs

APP = "tests.acceptance.schedules.app"


def told(lab: Lab, name: str) -> list[datetime]:
    """The due times of the runs of a schedule that have done their step, in order."""
    effects = lab.effects.all("tick", schedule=name)
    return sorted(datetime.fromisoformat(effect["due"]) for effect in effects)


def test_each_due_time_starts_one_run_though_a_worker_is_killed(lab: Lab) -> None:
    """I15: three workers sweep, one is killed on the way; none is left out and none is started twice."""
    workers = [lab.start_worker(APP, concurrency=1) for _ in range(3)]
    eventually(lambda: len(told(lab, "declared")) >= 3, 20, "three runs of the declared schedule")
    workers[0].kill_group()
    before = len(told(lab, "declared"))
    eventually(lambda: len(told(lab, "declared")) >= before + 4, 20, "four more")
    lab.aiki.schedules.pause("declared")
    eventually(lambda: check_invariants(lab.journal, lab.effects, crashes=1), 20, "a journal at rest")
    due = [run.row["scheduled_for"] for run in read_runs(lab.journal)]
    seconds = sorted(moment // 1_000_000 for moment in due)
    assert list(range(seconds[0], seconds[-1] + 1)) == seconds
    assert {moment.timestamp() for moment in told(lab, "declared")} == set(map(float, seconds))
    # Punctual: within a look of a worker at what others have added, but for the moment of the kill.
    late = [run.row["created_at"] - run.row["scheduled_for"] for run in read_runs(lab.journal)]
    assert sorted(late)[len(late) // 2] < 700_000


def test_after_downtime_the_latest_missed_one_is_caught_up(embedded_lab: Lab) -> None:
    """And what was missed before it can be read, and filled in by hand."""
    lab, name = embedded_lab, "nightly"
    lab.aiki.schedules.create(tick, name=name, every=1, args=(name,))
    first = lab.start_worker(APP, pool="solo")
    eventually(lambda: len(told(lab, name)) >= 2, 20, "two runs")
    first.terminate()
    first.wait()
    stopped = lab.aiki.schedules.get(name)
    assert stopped.next_due_at is not None
    ready = stopped.next_due_at + timedelta(seconds=3)
    eventually(lambda: datetime.now(timezone.utc) > ready, 10, "three due times to pass")
    lab.start_worker(APP, pool="solo")
    eventually(lambda: (told(lab, name) or [ready])[-1] >= ready, 20, "runs again")
    lab.aiki.schedules.pause(name)
    skip = lab.aiki.schedules.get(name).last_skip
    assert skip is not None
    assert stopped.next_due_at not in told(lab, name)
    handles = lab.aiki.schedules.backfill(name, stopped.next_due_at, stopped.next_due_at)
    assert [stopped.next_due_at.isoformat()] == [handle.get(timeout=20) for handle in handles]
    triggered = datetime.fromisoformat(lab.aiki.schedules.trigger(name).get(timeout=20))
    assert abs(triggered.timestamp() - time.time()) < 20
    assert len(told(lab, name)) == len(set(told(lab, name)))


def test_previous_run_is_cancelled_when_the_next_is_due(embedded_lab: Lab) -> None:
    """And with `skip` it goes on."""
    lab = embedded_lab
    lab.aiki.schedules.create(linger, name="replace", every=1, overlap="cancel_previous")
    lab.aiki.schedules.create(linger, name="keep", every=1)
    lab.start_worker(APP, pool="threads")

    def states(name: str) -> list[RunStatus]:
        return [run.status for run in lab.aiki.journal.views.find(schedule=name)]

    eventually(lambda: len(states("replace")) >= 4, 30, "four runs, one after the other")
    for name in ("replace", "keep"):
        lab.aiki.schedules.pause(name)
    eventually(lambda: states("replace").count(RunStatus.CANCELLED) >= 3, 20, "the earlier ones' end")
    assert RunStatus.CANCELLED not in states("replace")[:1]
    (only,) = lab.aiki.journal.views.find(schedule="keep")
    assert not only.status.is_terminal
    skip = lab.aiki.schedules.get("keep").last_skip
    assert skip is not None
    assert (only.id, True) == (skip.run_id, "is not over" in skip.reason)
