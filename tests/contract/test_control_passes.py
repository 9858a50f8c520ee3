"""What a run's code meets when it is paused or cancelled, pass by pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from aiki_celery import OutcomeUnknown, Retry, RunCancelled, WorkflowRun, current_step, task, workflow
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.obeying import LOOK_AFTER
from aiki_celery.engine.outcome import Outcome
from aiki_celery.engine.sweeps.timers import sweep_timers
from aiki_celery.errors import WorkflowCancelled
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.controlled import REASON, kinds
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.stories import ALICE
from tests.harness.eventually import eventually

#: What a step of the run does to the run that it is a step of.
MEANWHILE: dict[str, Callable[[str], Any]] = {}
DONE: list[str] = []


@pytest.fixture
def house(journal: Journal) -> House:
    """A house in which nothing has been done."""
    DONE.clear()
    MEANWHILE.clear()
    return House(journal, inline_wait=0.01)


@task(name="passes-act")
def act(what: str) -> str:
    DONE.append(what)
    if what in MEANWHILE:
        MEANWHILE.pop(what)(current_step().run_id)
    return what


@task(name="passes-flaky", retry=Retry.fixed(3, 3600.0))
def flaky(what: str) -> str:
    act(what)
    raise ConnectionError(what)


@task(name="passes-once", at_most_once=True)
def once(what: str) -> str:
    return act(what)


@task(name="passes-long")
def long(what: str) -> str:
    DONE.append(what)
    MEANWHILE.pop(what)(current_step().run_id)
    current_step().heartbeat("half")
    DONE.append(f"{what} to its end")
    return what


@workflow(name="passes-three")
def three(run: WorkflowRun) -> list[str]:
    return [act.run(run, what) for what in ("a", "b", "c")]


@workflow(name="passes-cleaning")
def cleaning(run: WorkflowRun, how: str) -> list[str]:
    done = []
    try:
        done = [act.run(run, "a"), act.run(run, "b")]
    except RunCancelled as told:
        act.run(run, f"undo a: {told.reason}")
        if how == "raise again":
            raise
        if how == "fail":
            raise ValueError("what is undone?") from None
        if how == "sleep":
            run.sleep(0.01)
            act.start(run, "undo elsewhere").result()
    return done


@workflow(name="passes-parking")
def parking(run: WorkflowRun) -> str:
    try:
        return flaky.run(run, "flaky")
    except RunCancelled:
        return act.run(run, "undo")


@workflow(name="passes-wiring")
def wiring(run: WorkflowRun) -> str:
    try:
        return once.run(run, "wire")
    except RunCancelled:
        try:
            once.run(run, "wire")
        except OutcomeUnknown:
            act.run(run, "ask the bank")
        raise


@task(name="passes-long-once", at_most_once=True)
def long_once(what: str) -> str:
    DONE.append(what)
    if what in MEANWHILE:
        MEANWHILE.pop(what)(current_step().run_id)
        current_step().heartbeat("half")
    return what


@workflow(name="passes-wiring-long")
def wiring_long(run: WorkflowRun) -> None:
    try:
        long_once.run(run, "wire")
    except RunCancelled:
        with pytest.raises(OutcomeUnknown):
            long_once.run(run, "wire")
        long_once.run(run, "wire")
        run.sleep(0.001)
        raise


@workflow(name="passes-reporting")
def reporting(run: WorkflowRun) -> str:
    try:
        return long.run(run, "long")
    finally:
        act.run(run, "undo")


@workflow(name="passes-napping")
def napping(run: WorkflowRun, seconds: float) -> list[bool]:
    until = datetime(2200, 1, 1, tzinfo=timezone.utc) if seconds > 1 else run.now()
    return [run.sleep(seconds), run.sleep_until(until, name="until")]


@workflow(name="passes-again", retry=Retry.fixed(3, 3600.0))
def again(run: WorkflowRun) -> str:
    act.run(run, "before")
    try:
        if run.attempt < 3:
            raise ConnectionError("not yet")
        return act.run(run, "after")
    except RunCancelled:
        act.run(run, "undo")
        raise


@workflow(name="passes-leaf")
def leaf(run: WorkflowRun, name: str) -> str:
    act.run(run, f"{name} begun")
    try:
        run.sleep(3600)
    finally:
        act.run(run, f"{name} undone")
    return name


@workflow(name="passes-branch")
def branch(run: WorkflowRun) -> str:
    futures = [leaf.start(run, "first"), leaf.start(run, "second"), act.start(run, "step")]
    try:
        run.gather(*futures)
    finally:
        act.run(run, "branch undone")
    return "never"


@workflow(name="passes-root")
def root(run: WorkflowRun) -> str:
    child = branch.start(run)
    try:
        return child.result()
    except RunCancelled:
        run.gather(child, return_exceptions=True)
        act.run(run, "root undone")
        raise


@workflow(name="passes-leaving")
def leaving(run: WorkflowRun) -> str:
    leaf.start(run, "child")
    return act.run(run, "left")


def status_of(house: House, run_id: str) -> tuple[str, str | None]:
    """The state of a run, and why."""
    row = run_row(house.journal, run_id)
    return row.status, row.reason


def cancel(house: House, run_id: str) -> None:
    """Cancels a run and sends the messages."""
    house.publish(house.journal.control.cancel(run_id, REASON).envelopes)


def go_on(house: House, run_id: str) -> Outcome:
    """Does the next pass of a run."""
    outcome = house.take(run_id)
    assert outcome is not None
    return outcome


def begin(house: House, flow: Workflow[..., Any], *args: Any) -> tuple[str, Outcome]:
    """Starts a run and does its first pass."""
    run_id = house.enqueue(flow, *args)
    return run_id, go_on(house, run_id)


def test_pause_in_a_step_keeps_its_result(house: House) -> None:
    """L1: nothing of it is done again, and the run goes on behind it."""
    MEANWHILE["b"] = house.journal.control_moves.pause
    run_id, outcome = begin(house, three)
    assert (RunStatus.PAUSED, ["a", "b"]) == (outcome.status, DONE)
    assert [StepKind.TASK] * 2 == kinds(house.journal, run_id)

    house.publish(house.journal.control_moves.resume(run_id).envelopes)
    house.drain()

    assert ("completed", ["a", "b", "c"]) == (status_of(house, run_id)[0], DONE)
    assert 1 == run_row(house.journal, run_id).attempt


def test_pause_keeps_the_attempts_of_a_step_and_their_delay(house: House) -> None:
    """The failed attempt counts once, and the next one waits for its time."""
    MEANWHILE["flaky"] = house.journal.control_moves.pause
    run_id, outcome = begin(house, parking)
    assert (RunStatus.PAUSED, [StepKind.ATTEMPT]) == (outcome.status, kinds(house.journal, run_id))

    house.publish(house.journal.control_moves.resume(run_id).envelopes)
    assert (RunStatus.AWAITING_RETRY, ["flaky"]) == (go_on(house, run_id).status, DONE)


@pytest.mark.parametrize("asked", ["in the pass", "while it waits"])
def test_pause_keeps_the_delay_before_the_next_attempt_of_a_workflow(house: House, asked: str) -> None:
    """Resumed early, it waits for what is left (I12)."""
    if asked == "in the pass":
        MEANWHILE["before"] = house.journal.control_moves.pause
    run_id, outcome = begin(house, again)
    if asked == "in the pass":
        # The pause was heeded by the step's own record; the failure comes in the next pass.
        house.publish(house.journal.control_moves.resume(run_id).envelopes)
        outcome = go_on(house, run_id)
    assert RunStatus.AWAITING_RETRY is outcome.status
    due_at = run_row(house.journal, run_id).due_at
    house.journal.control_moves.pause(run_id)

    house.publish(house.journal.control_moves.resume(run_id).envelopes)
    third = go_on(house, run_id)

    row = run_row(house.journal, run_id)
    assert (RunStatus.AWAITING_RETRY, due_at, 2) == (third.status, row.due_at, row.attempt)


@pytest.mark.parametrize("how", ["swallow", "raise again", "fail", "sleep"])
def test_cancelled_run_ends_so_whatever_its_code_does(house: House, how: str) -> None:
    """It cleans up, and what comes of that is told with the reason."""
    MEANWHILE["a"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(cleaning, how)
    house.drain()

    failed = "; cleaning up failed: ValueError: what is undone?" if how == "fail" else ""
    assert ("cancelled", REASON + failed) == status_of(house, run_id)
    assert ["a", f"undo a: {REASON}"] + ["undo elsewhere"] * (how == "sleep") == DONE
    error = run_row(house.journal, run_id).error
    assert (how == "fail") == (error is not None)
    handle = cleaning.handle(run_id)
    with pytest.raises(WorkflowCancelled, match=REASON):
        handle.result_of(house.journal.views.get(run_id))


def test_step_is_not_begun_by_a_pass_that_was_busy_with_other_things(house: House) -> None:
    """I11: having heard nothing of the journal for a while, it looks before it begins one."""

    @workflow(name="passes-busy")
    def busy(run: WorkflowRun) -> str:
        act.run(run, "a")
        time.sleep(LOOK_AFTER * 1.2)
        cancel(house, run.id)
        return act.run(run, "b")

    house = House(house.journal, inline_wait=0.01)
    run_id = house.enqueue(busy)
    house.drain()
    assert ("cancelled", ["a"]) == (status_of(house, run_id)[0], DONE)


def test_outcome_that_comes_before_the_code_is_told_stands(house: House) -> None:
    """U3: the last step hears of it, and there is no call any more."""
    MEANWHILE["c"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(three)
    house.drain()
    assert ("completed", ["a", "b", "c"]) == (status_of(house, run_id)[0], DONE)


def test_cancel_while_a_step_waits_for_its_next_attempt(house: House) -> None:
    """The attempts are not gone on with."""
    run_id, outcome = begin(house, parking)
    assert RunStatus.AWAITING_RETRY is outcome.status
    cancel(house, run_id)
    house.drain()
    assert ("cancelled", ["flaky", "undo"]) == (status_of(house, run_id)[0], DONE)


def test_cancel_noted_by_a_failed_attempt(house: House) -> None:
    """The step is not tried again, and the attempt is there to be read."""
    MEANWHILE["flaky"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(parking)
    house.drain()
    assert ("cancelled", ["flaky", "undo"]) == (status_of(house, run_id)[0], DONE)
    assert [StepKind.ATTEMPT, StepKind.CANCEL, StepKind.TASK] == kinds(house.journal, run_id)


def test_at_most_once_step_that_was_interrupted_is_not_run_again_by_the_clean_up(house: House) -> None:
    """Its outcome is unknown, and stays so (I5)."""

    class Died(BaseException): ...

    def die(_: str) -> None:
        raise Died

    MEANWHILE["wire"] = die
    run_id = house.enqueue(wiring)
    with pytest.raises(Died):
        house.take(run_id)
    house.journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    cancel(house, run_id)
    house.inbox.append(run_id)
    house.drain()
    assert ("cancelled", ["wire", "ask the bank"]) == (status_of(house, run_id)[0], DONE)


def test_heartbeat_of_a_step_ends_it_early(house: House) -> None:
    """It has no outcome then, and the code is told in its place."""
    MEANWHILE["long"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(reporting)
    house.drain()
    assert ("cancelled", ["long", "undo"]) == (status_of(house, run_id)[0], DONE)
    assert [StepKind.CANCEL, StepKind.TASK] == kinds(house.journal, run_id)


def test_at_most_once_step_that_a_heartbeat_has_ended_is_not_run_again_in_its_place(house: House) -> None:
    """Its outcome is unknown, in the pass that ended it as in one that recovers it; another call is another step."""
    MEANWHILE["wire"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(wiring_long)
    house.drain()
    assert ("cancelled", ["wire", "wire"]) == (status_of(house, run_id)[0], DONE)


def test_sleep_tells_whether_it_was_ended_by_hand(house: House) -> None:
    """On every replay alike; one that came to its end by itself says so too."""
    run_id, outcome = begin(house, napping, 3600.0)
    for _ in range(2):
        assert RunStatus.SLEEPING is outcome.status
        house.publish(house.journal.control_moves.wake(run_id).envelopes)
        outcome = go_on(house, run_id)
    assert ("completed", "[true,true]") == (
        status_of(house, run_id)[0],
        run_row(house.journal, run_id).output,
    )
    assert [False, False] == house.result_of(napping, 0.001)


@pytest.mark.parametrize("when", ["while it waits", "in the pass"])
def test_failure_that_comes_before_the_code_is_told_stands(house: House, when: str) -> None:
    """It is not tried again then, whatever the workflow's policy says."""
    if when == "in the pass":
        MEANWHILE["before"] = lambda run_id: cancel(house, run_id)
    run_id = house.enqueue(again)
    house.take(run_id)
    if when == "while it waits":
        cancel(house, run_id)
    house.drain()
    assert ("failed", ["before"]) == (status_of(house, run_id)[0], DONE)


def test_cancel_of_a_whole_family(house: House) -> None:
    """Three levels: whoever has begun cleans up, steps are over, and a parent may wait for its children's clean-up."""
    run_id, _ = begin(house, root)
    while house.inbox:
        house.take(house.inbox[0])
        if DONE.count("first begun") and DONE.count("second begun"):
            break
    cancel(house, run_id)
    house.drain()

    assert ("cancelled", REASON) == status_of(house, run_id)
    runs = house.journal.views.find(limit=20)
    assert {RunStatus.CANCELLED} == {view.status for view in runs if view.workflow != "passes-act"}
    assert {"first undone", "second undone", "branch undone", "root undone"} <= set(DONE)
    assert len(DONE) == len(set(DONE))
    assert DONE.index("branch undone") < DONE.index("root undone")


def test_child_that_ends_with_its_parent_cleans_up(house: House) -> None:
    """It is asked, as it has begun, when its parent comes to its end by itself."""

    run_id = house.enqueue(leaving)
    MEANWHILE["left"] = lambda _: house.take(f"{run_id}.1")
    house.drain()
    (child,) = house.journal.views.find(parent_id=run_id)
    assert ("cancelled", "its parent is over") == (child.status, child.reason)
    assert ["left", "child begun", "child undone"] == DONE


def test_deadline_cancels_by_itself(house: House) -> None:
    """When it has passed, the sweep asks; it has none any more, and its code cleans up."""
    bound = cleaning.signature.bind_input(("raise again",), {})
    options = cleaning.options(deadline=timedelta(milliseconds=20))._options
    run = house.binding.starter.run_of(cleaning, bound.values, bound.text, options, None)
    house.journal.starts.insert(run)
    MEANWHILE["a"] = lambda _: _until_late(house)
    house.inbox.append(run.id)
    house.drain()
    assert ("cancelled", "its deadline has passed") == status_of(house, run.id)
    assert ["a", "undo a: its deadline has passed"] == DONE
    assert run_row(house.journal, run.id).deadline_at is None


def _until_late(house: House) -> None:
    """Sweeps until the run is asked to end."""
    context = house.binding.sweep_context()

    def is_asked() -> bool:
        sweep_timers(context)
        return any(view.control == "cancel" for view in house.journal.views.find())

    eventually(is_asked, 5, "the deadline to be enforced")
