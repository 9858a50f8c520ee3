"""What a run waits for, and what ended its waits, stays: through retries, forks, full pages and new generations."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from aiki_celery import Retry, RunCancelled, WorkflowRun, task, workflow
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.journal.history import PAGE
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import StepKind
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import run_row, set_run
from tests.contract.sagas import book, broken, cancel, ended, forget
from tests.contract.stories import ALICE
from tests.harness.invariants import check_families

#: What passes saw when the sleep was over: the attempt, and whether somebody had ended it.
awake: list[tuple[int, bool]] = []
acts: list[str] = []


@pytest.fixture
def house(journal: Journal) -> House:
    """A house in which nothing has been done."""
    forget()
    awake.clear()
    acts.clear()
    return House(journal, inline_wait=0.0)


@task(name="kept-act")
def act(what: str) -> str:
    acts.append(what)
    return what


@workflow(name="kept-wake-saga", retry=Retry.fixed(2, 0.001))
def wake_then_undo(run: WorkflowRun) -> bool:
    woken = run.sleep(3600)
    awake.append((run.attempt, woken))
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        if run.attempt == 1:
            raise LookupError("no seat")
    return woken


@workflow(name="kept-wake-gather", retry=Retry.fixed(2, 0.001))
def wake_then_gather(run: WorkflowRun) -> bool:
    future = book.start(run, "flight")
    woken = run.sleep(3600)
    awake.append((run.attempt, woken))
    run.gather(future)
    return woken


@workflow(name="kept-sleeping-beside")
def sleeping_beside(run: WorkflowRun) -> str:
    future = book.start(run, "flight")
    awake.append((run.attempt, run.sleep(3600)))
    return future.result()


@workflow(name="kept-gone-by")
def gone_by(run: WorkflowRun) -> list[bool]:
    return [run.sleep_until(datetime(2020, 1, 1, tzinfo=timezone.utc)), run.sleep(3600)]


@workflow(name="kept-no-time")
def no_time(run: WorkflowRun) -> list[bool]:
    return [run.sleep(0), run.sleep(3600)]


@workflow(name="kept-cleaning")
def cleaning_up(run: WorkflowRun) -> str:
    future = act.start(run, "work")
    try:
        return future.result()
    except RunCancelled:
        act.start(run, "undo").result()
        raise


@workflow(name="kept-generations")
def generations(run: WorkflowRun, number: int) -> str:
    try:
        if number == 0:
            run.gather(*[act.start(run, f"part {part}") for part in range(3)])
            run.continue_as_new(1)
        run.sleep(3600)
    except RunCancelled:
        act.start(run, "undo").result()
        raise
    return "slept"


def settled(house: House, run_id: str) -> str:
    """Takes every message there is, and lets no time pass; gives the state of the run."""
    while house.inbox:
        house.take(house.inbox[0])
    return str(run_row(house.journal, run_id).status)


def cancelled(house: House, run_id: str) -> None:
    """Asks for a run to be cancelled."""
    house.publish(house.journal.control.cancel(run_id, "not needed").envelopes)


@pytest.mark.parametrize(
    ("flow", "not_working"),
    [(wake_then_undo, set()), (wake_then_gather, {"flight"})],
    ids=["a saga", "a gather"],
)
def test_wake_is_kept_by_a_retry(house: House, flow: Workflow[[], bool], not_working: set[str]) -> None:
    """What the retry puts aside comes after the wake: the next attempt is told that its sleep was ended."""
    broken.update(not_working)
    run_id = house.enqueue(flow)
    assert "sleeping" == settled(house, run_id)
    broken.clear()

    house.publish(house.journal.control_moves.wake(run_id).envelopes)

    assert "completed" == ended(house, run_id)
    assert ({(1, True), (2, True)}, "true") == (set(awake), run_row(house.journal, run_id).output)


def test_fork_of_a_run_cancelled_in_its_sleep_sleeps_on(house: House) -> None:
    """The step that was started before the sleep is started anew, which is no reason to think that time has passed."""
    run_id = house.enqueue(sleeping_beside)
    house.take(run_id)
    house.inbox.clear()
    cancelled(house, run_id)
    assert "cancelled" == settled(house, run_id)

    copy = forked(house, run_id)
    house.take(copy)

    rows = [run_row(house.journal, one) for one in (run_id, copy)]
    [due] = [step.due_at for step in house.journal.views.steps(copy) if step.kind is StepKind.SLEEP]
    assert (["cancelled", "sleeping"], due, []) == ([row.status for row in rows], rows[1].due_at, awake)


def test_fork_that_sleeps_on_sleeps_until_it_is_woken(house: House) -> None:
    """What the fork has started anew was recorded after the sleep, and stands before it in the code."""
    run_id = house.enqueue(sleeping_beside)
    house.take(run_id)
    house.inbox.clear()
    cancelled(house, run_id)
    settled(house, run_id)
    copy = forked(house, run_id)
    house.take(copy)
    moves = house.journal.control_moves
    moves.pause(copy)

    house.publish(moves.resume(copy).envelopes)

    assert ("sleeping", []) == (settled(house, copy), awake)
    house.publish(moves.wake(copy).envelopes)
    assert ("completed", [(1, True)]) == (settled(house, copy), awake)
    of_kind = {step.kind: step for step in house.journal.views.steps(copy)}
    sleep, end = of_kind[StepKind.SLEEP], of_kind[StepKind.WAKE]
    assert (sleep.name, sleep.address, str(sleep.seq)) == (end.name, end.address, end.value)


@pytest.mark.parametrize("passed", [gone_by, no_time])
def test_sleep_that_is_over_at_once_leaves_the_next_one_its_own(
    house: House, passed: Workflow[[], list[bool]]
) -> None:
    """Sleeps of one name are matched in order, and one that took no time was one of them."""
    run_id = house.enqueue(passed)
    assert "sleeping" == settled(house, run_id)
    sleeps = [step.seq for step in house.journal.views.steps(run_id)]

    house.publish(house.journal.control_moves.wake(run_id).envelopes)

    assert ("completed", "[false,true]") == (settled(house, run_id), run_row(house.journal, run_id).output)
    steps = house.journal.views.steps(run_id)
    assert sleeps == [step.seq for step in steps if step.kind is StepKind.SLEEP]


def test_cancel_that_comes_before_a_wait_turns_a_full_page_once(house: House) -> None:
    """The wait is not written, nor is its page turned: what is written instead finds its own page free."""
    journal = house.journal
    run_id = house.enqueue(cleaning_up)
    line = "queued\t1\t" + "x" * 90 + "\n"
    set_run(journal, run_id, history=line * 100)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    assert taken[0].history_length > PAGE
    house.inbox.clear()
    journal.control.cancel(run_id, "not needed")

    house.run(*taken)

    assert ("cancelled", ["undo"]) == (ended(house, run_id), acts)
    assert 100 == sum("x" * 90 == told.reason for told in journal.views.history(run_id))


def test_cancel_of_a_generation_that_has_recorded_nothing_comes_after_its_base(house: House) -> None:
    """What the earlier one has recorded ends there; the clean-up is recorded beyond it, and starts its own steps."""
    run_id = house.enqueue(generations, 0)
    while run_row(house.journal, run_id).generation == 0:
        house.take(house.inbox[0])
    base = run_row(house.journal, run_id).base_seq
    assert 0 < base
    cancelled(house, run_id)
    house.inbox.append(run_id)

    assert "cancelled" == settled(house, run_id)

    steps = house.journal.views.steps(run_id)
    assert [(base + 1, StepKind.CANCEL), (base + 2, StepKind.LAUNCH)] == [
        (step.seq, step.kind) for step in steps
    ]
    assert ["part 0", "part 1", "part 2", "undo"] == acts
    check_families(house.journal.connections.engine)
