"""Every write may be tried again after its answer was lost, and is done once."""

from __future__ import annotations

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.failing import lost_answer
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, BOB, finished, in_pass, new_run, parked, queued, step, token


def statuses(journal: Journal, run_id: str) -> list[RunStatus]:
    """The states a run has entered."""
    return [transition.status for transition in journal.views.history(run_id)]


def test_insert_twice_is_one_run(journal: Journal) -> None:
    """A start whose answer was lost gives the run it wrote."""
    run = new_run()
    with lost_answer(journal):
        found = journal.starts.insert(run)
    assert (run.id, 1) == (found, count(journal, "runs"))


def test_insert_with_a_reference_twice_is_one_run(journal: Journal) -> None:
    """A reference id that our own first try has taken is no conflict."""
    run = new_run(reference_id="order-1")
    with lost_answer(journal):
        found = journal.starts.insert(run)
    assert (run.id, 1) == (found, count(journal, "runs"))


def test_insert_many_twice_writes_each_run_once(journal: Journal) -> None:
    """Runs that the first try has written are not written again."""
    with lost_answer(journal):
        journal.starts.insert_many([new_run() for _ in range(3)])
    assert 3 == count(journal, "runs")


def test_insert_claimed_twice_is_still_granted(journal: Journal) -> None:
    """Who wrote the run and lost the answer still holds it."""
    run = new_run()
    with lost_answer(journal):
        now = journal.starts.insert_claimed(run, ALICE, token())
    assert (True, ALICE.worker_id, 1) == (
        now is not None,
        run_row(journal, run.id).owner,
        count(journal, "runs"),
    )


def test_claim_twice_is_granted_with_the_epoch_that_is_stored(journal: Journal) -> None:
    """Who took the run and lost the answer takes it again, and its fence is the one in the row."""
    run_id = queued(journal)
    with lost_answer(journal):
        taken = journal.claims.claim(run_id, ALICE, token())
    assert taken is not None
    assert (run_row(journal, run_id).epoch, ALICE.worker_id) == (
        taken[0].epoch,
        run_row(journal, run_id).owner,
    )
    writing = journal.begin_pass(taken[0])
    writing.append(step(1, epoch=taken[0].epoch))
    writing.close()
    assert 1 == count(journal, "steps")


def test_append_twice_is_one_record(journal: Journal) -> None:
    """A record that our first try wrote is ours, and the pass goes on."""
    claim, writing = in_pass(journal)
    first, second = step(1), step(2)
    with lost_answer(journal):
        writing.append(first)
    writing.append(second)
    writing.close()
    assert [first, second] == journal.views.steps(claim.run_id)


def test_park_twice_is_one_transition(journal: Journal) -> None:
    """A run that our first try has parked is parked."""
    claim, writing = in_pass(journal)
    with lost_answer(journal):
        writing.park(RunStatus.SLEEPING, (), due_at=claim.now, why="waits", attempt=1)
    writing.close()
    assert [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SLEEPING] == statuses(journal, claim.run_id)


def test_park_with_a_record_twice_is_one_record(journal: Journal) -> None:
    """What belongs to the parking is not written again either."""
    claim, writing = in_pass(journal)
    note = step(1, kind=StepKind.SLEEP)
    with lost_answer(journal):
        writing.park(RunStatus.SLEEPING, (note,), due_at=claim.now, why="waits", attempt=1)
    writing.close()
    assert ("sleeping", [note]) == (run_row(journal, claim.run_id).status, journal.views.steps(claim.run_id))


def test_hand_over_twice_is_one_transition(journal: Journal) -> None:
    """A run that our first try has queued is queued."""
    claim, writing = in_pass(journal)
    with lost_answer(journal):
        writing.hand_over("drain")
    writing.close()
    assert [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.QUEUED] == statuses(journal, claim.run_id)


def test_finish_twice_is_one_transition(journal: Journal) -> None:
    """A run that our first try has finished is finished."""
    claim, writing = in_pass(journal)
    with lost_answer(journal):
        writing.finish(RunStatus.COMPLETED, output="1", why="completed", told=False)
    writing.close()
    assert [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.COMPLETED] == statuses(journal, claim.run_id)


def test_confirm_twice_confirms(journal: Journal) -> None:
    """Confirming what is confirmed changes nothing."""
    run_id = finished(journal, told=False)
    with lost_answer(journal):
        journal.settlements.confirm([run_id])
    assert None is run_row(journal, run_id).settlement


def test_claim_settlement_twice_is_still_granted(journal: Journal) -> None:
    """Who took a settlement and lost the answer still has it."""
    run_id = finished(journal, told=False)
    journal.recovery.free_all(ALICE.worker_id)
    with lost_answer(journal):
        granted = journal.claims.claim_settlement(run_id, BOB, token())
    assert (True, BOB.worker_id) == (granted, run_row(journal, run_id).owner)


def test_queue_due_twice_queues_once(journal: Journal) -> None:
    """Runs that the first try has queued are queued; their messages, which nobody sends now, are sent as overdue."""
    run_id = parked(journal, due_in=-1)
    with lost_answer(journal):
        journal.timers.queue_due(["greet@1.0.0"], 10)
    assert ("queued", 1, 1) == (
        run_row(journal, run_id).status,
        run_row(journal, run_id).deliveries,
        statuses(journal, run_id).count(RunStatus.SLEEPING),
    )


def test_free_process_twice_counts_one_crash(journal: Journal) -> None:
    """A crash whose recovery lost its answer is not counted again."""
    claim, writing = in_pass(journal)
    writing.close()
    with lost_answer(journal):
        journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    row = run_row(journal, claim.run_id)
    assert ("queued", 1) == (row.status, row.recoveries)


def test_beat_twice_is_one_worker(journal: Journal) -> None:
    """A worker's first beat whose answer was lost makes one row."""
    with lost_answer(journal):
        journal.workers.beat("w1", "host", 1, None)
    assert ["w1"] == [worker.id for worker in journal.workers.all()]
