"""Taking runs away from owners that are gone."""

from __future__ import annotations

import json

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.conftest import MAX_RECOVERIES
from tests.contract.rows import MICROSECOND, age, run_row, silence
from tests.contract.stories import ALICE, BOB, claimed, finished, in_pass, parked, queued, step

TTL = 15.0


def crash(journal: Journal, run_id: str, *, steps_done: int = 0) -> None:
    """A process of Alice's takes the run, records so many steps, and dies."""
    claim, writing = in_pass(journal, run_id)
    reached = len(journal.views.steps(run_id))
    for number in range(steps_done):
        writing.append(step(reached + 1 + number, epoch=claim.epoch))
    writing.close()
    journal.recovery.free_process(ALICE.worker_id, ALICE.pid)


def test_free_dead_workers_leaves_the_living_alone(journal: Journal) -> None:
    """A worker whose last beat is younger than the time to live keeps its runs."""
    claim = claimed(journal)
    journal.workers.beat(ALICE.worker_id, "host", 1, None)
    silence(journal, ALICE.worker_id, TTL - 5)
    assert ([], [], "running") == (
        *journal.recovery.free_dead_workers(TTL, 100),
        run_row(journal, claim.run_id).status,
    )


@pytest.mark.parametrize("trace", ["silent", "no row"])
def test_free_dead_workers_frees_the_runs_of_the_dead(journal: Journal, trace: str) -> None:
    """A worker that is silent for longer, or has no row any more, loses its runs, and only it."""
    dead, alive = claimed(journal), claimed(journal, owner=BOB)
    if trace == "silent":
        journal.workers.beat(ALICE.worker_id, "host", 1, None)
        silence(journal, ALICE.worker_id, TTL + 1)
    journal.workers.beat(BOB.worker_id, "host", 2, None)
    freed, stalled = journal.recovery.free_dead_workers(TTL, 100)
    row = run_row(journal, dead.run_id)
    assert ([dead.run_id], [], "queued", None, 1, 1, "running") == (
        [run.run_id for run in freed],
        stalled,
        row.status,
        row.owner,
        row.deliveries,
        row.recoveries,
        run_row(journal, alive.run_id).status,
    )
    assert 30.0 == round((row.due_at - row.queued_at) / MICROSECOND, 1)


def test_free_process_frees_only_that_process(journal: Journal) -> None:
    """A pool child that died takes no sibling's runs with it."""
    mine = claimed(journal)
    assert ([], []) == journal.recovery.free_process(ALICE.worker_id, ALICE.pid + 1)
    freed, _ = journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    assert [mine.run_id] == [run.run_id for run in freed]


def test_free_all_frees_every_run_of_a_worker(journal: Journal) -> None:
    """A worker that ends leaves nothing behind, and takes nothing of others."""
    mine = {claimed(journal).run_id for _ in range(3)}
    other = claimed(journal, owner=BOB)
    freed, _ = journal.recovery.free_all(ALICE.worker_id)
    assert (mine, "running") == ({run.run_id for run in freed}, run_row(journal, other.run_id).status)


def test_free_unattended_spares_what_is_at_hand_and_what_is_fresh(journal: Journal) -> None:
    """A run that its worker has at hand, or took a moment ago, is no orphan."""
    held, fresh, orphan = (claimed(journal).run_id for _ in range(3))
    for run_id in (held, orphan):
        age(journal, run_id, 60, "claimed_at")
    freed, _ = journal.recovery.free_unattended(ALICE.worker_id, [held], 10)
    assert ([orphan], "running") == ([run.run_id for run in freed], run_row(journal, fresh).status)


def test_crash_costs_no_attempt(journal: Journal) -> None:
    """An interrupted run is queued with the attempt it had."""
    run_id = queued(journal)
    crash(journal, run_id)
    assert (1, 1) == (run_row(journal, run_id).attempt, run_row(journal, run_id).recoveries)


def test_crashes_in_a_row_without_progress_stall_the_run(journal: Journal) -> None:
    """A run that kills its worker every time is stopped after `max_recoveries`, and says why."""
    run_id = queued(journal)
    seen = []
    for _ in range(MAX_RECOVERIES):
        crash(journal, run_id)
        seen.append(run_row(journal, run_id).status)
    row = run_row(journal, run_id)
    assert (["queued"] * (MAX_RECOVERIES - 1) + ["stalled"], "crash_loop", None, None) == (
        seen,
        row.reason,
        row.due_at,
        row.owner,
    )


def test_crashes_with_progress_between_them_do_not_stall_the_run(journal: Journal) -> None:
    """Each new record sets the count of crashes back to the first."""
    run_id = queued(journal)
    for _ in range(2 * MAX_RECOVERIES):
        crash(journal, run_id, steps_done=1)
    assert ("queued", 1) == (run_row(journal, run_id).status, run_row(journal, run_id).recoveries)


def test_requeue_forgives_the_crashes(journal: Journal) -> None:
    """A stalled run that is requeued by hand may crash as often again."""
    run_id = queued(journal)
    for _ in range(MAX_RECOVERIES):
        crash(journal, run_id)
    journal.views.requeue(run_id)
    for _ in range(MAX_RECOVERIES - 1):
        crash(journal, run_id)
    assert "queued" == run_row(journal, run_id).status


def test_free_of_a_finished_run_leaves_its_outcome(journal: Journal) -> None:
    """A worker that died before it told of a finished run: somebody else tells, nobody runs it again."""
    run_id = finished(journal, told=False)
    freed, _ = journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    row = run_row(journal, run_id)
    assert ([run_id], "completed", "pending", None, 0) == (
        [run.run_id for run in freed],
        row.status,
        row.settlement,
        row.owner,
        row.recoveries,
    )


def test_free_does_not_touch_waiting_runs(journal: Journal) -> None:
    """A run that waits has no owner to lose."""
    run_id = parked(journal)
    journal.recovery.free_dead_workers(TTL, 100)
    assert "sleeping" == run_row(journal, run_id).status


def test_fail_timed_out_fails_the_run_at_hand_only(journal: Journal) -> None:
    """A hard time limit fails the run that the process was at, unless it is not at it any more."""
    claim = claimed(journal)
    journal.recovery.fail_timed_out(claim.run_id, BOB.worker_id, BOB.pid, 5)
    before = run_row(journal, claim.run_id).status
    woken = journal.recovery.fail_timed_out(claim.run_id, ALICE.worker_id, ALICE.pid, 5)
    row = run_row(journal, claim.run_id)
    assert ("running", [], "failed", "TimeLimitExceeded", None) == (
        before,
        woken,
        row.status,
        json.loads(row.error)["type"],
        row.owner,
    )


def test_recovery_writes_the_history(journal: Journal) -> None:
    """The history says that the run was recovered, and why."""
    run_id = queued(journal)
    crash(journal, run_id)
    last = journal.views.history(run_id)[-1]
    assert (RunStatus.QUEUED, f"recovered: process {ALICE.pid} died") == (last.status, last.reason)
