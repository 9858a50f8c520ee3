"""A run that failed is tried again, by its policy or by hand: unchanged code goes on from what failed."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import Retry, RunError, TaskFailed, WorkflowFailed, WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import StepStarting
from tests.contract.families import children_of
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, new_run, token

#: What the databases do is shown elsewhere; here it is the engine that counts.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

calls: dict[str, int] = {}
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    calls.clear()
    broken.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


def called(name: str) -> str:
    calls[name] = calls.get(name, 0) + 1
    if name in broken:
        raise ValueError(f"{name} is broken")
    return name


@task(name="retries-call")
def call(name: str) -> str:
    return called(name)


@task(name="retries-call-thrice", retry=Retry.fixed(3, 0.001))
def call_thrice(name: str) -> str:
    return called(name)


@task(name="retries-call-once", at_most_once=True)
def call_once(name: str) -> str:
    return called(name)


def ended(house: House, run_id: str) -> str:
    """Does everything; gives the state of the run."""
    house.drain()
    return str(run_row(house.journal, run_id).status)


def retried(house: House, run_id: str) -> str:
    """Mends everything and retries a run by hand; gives the state it comes to."""
    broken.clear()
    again = house.journal.second_chances.retry(run_id)
    assert again is not None
    house.publish([again])
    return ended(house, run_id)


def clean_up_and_go_on(run: WorkflowRun) -> str:
    try:
        run.gather(call.start(run, "work"))
    except TaskFailed:
        run.gather(call.start(run, "clean-up"))
        raise
    return call.run(run, "after")


cleaning = workflow(name="retries-cleaning")(clean_up_and_go_on)


def test_clean_up_by_a_started_step_is_put_aside_with_the_failure(house: House) -> None:
    """The pass that raises the error is another than the one that has seen it first."""
    broken.add("work")
    run_id = house.enqueue(cleaning)
    assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    assert {"work": 2, "clean-up": 1, "after": 1} == calls


@task(name="retries-fails-at-first")
def fails_at_first(name: str) -> str:
    calls[name] = calls.get(name, 0) + 1
    if calls[name] == 1:
        raise ValueError(name)
    return name


@workflow(name="retries-cleaning-by-policy", retry=Retry.fixed(3, 0.001))
def cleaning_by_policy(run: WorkflowRun) -> str:
    try:
        run.gather(fails_at_first.start(run, "work"))
    except TaskFailed:
        run.gather(call.start(run, "clean-up"))
        raise
    return call.run(run, "after")


def test_the_same_by_the_workflows_own_policy(house: House) -> None:
    """No hand is needed."""
    run_id = house.enqueue(cleaning_by_policy)
    assert "completed" == ended(house, run_id)
    assert {"work": 2, "clean-up": 1, "after": 1} == calls


@workflow(name="retries-sleeping-on-it")
def sleeping_on_it(run: WorkflowRun, how: str) -> str:
    try:
        return {"thrice": call_thrice, "once": call_once}[how].run(run, "work")
    except TaskFailed:
        run.sleep(0.001)
        raise


@pytest.mark.parametrize(("how", "attempts"), [("thrice", 3), ("once", 1)])
def test_failed_attempts_are_put_aside_with_their_step(house: House, how: str, attempts: int) -> None:
    """A retried step has all its attempts again, though its failure was replayed in between."""
    broken.add("work")
    run_id = house.enqueue(sleeping_on_it, how)
    assert ("failed", attempts) == (ended(house, run_id), calls["work"])
    assert "completed" == retried(house, run_id)
    assert attempts + 1 == calls["work"]


@workflow(name="retries-twice-the-same", retry=Retry.fixed(2, 0.001))
def twice_the_same(run: WorkflowRun) -> list[str]:
    return [call_thrice.run(run, "work"), call_thrice.run(run, "work")]


def test_next_call_of_an_address_has_attempts_of_its_own(house: House) -> None:
    """In the pass that ended the first call, too; and a retry does not begin at the first call's attempts."""
    fails = [True, False, *[True] * 3, False]

    def fail(_: StepStarting) -> None:
        (broken.add if fails.pop(0) else broken.discard)("work")

    house.hooks.on(StepStarting, fail)
    assert ["work", "work"] == house.result_of(twice_the_same)
    assert ([], 6) == (fails, calls["work"])


@workflow(name="retries-child")
def child(run: WorkflowRun) -> str:
    return call.run(run, "child")


@workflow(name="retries-sleeping-child")
def sleeping_child(run: WorkflowRun) -> str:
    run.sleep(0.01)
    return call.run(run, "child")


@workflow(name="retries-parent-by-reference")
def by_reference(run: WorkflowRun) -> str:
    return child.options(reference_id="the-child").run(run)


def test_a_failed_child_is_started_again_under_its_reference_id(house: House) -> None:
    """The one that failed gives the id to the one that takes its place."""
    broken.add("child")
    run_id = house.enqueue(by_reference)
    assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    first, second = children_of(house.journal, run_id)
    assert [("failed", None), ("completed", "the-child")] == [
        (row.status, row.reference_id) for row in (first, second)
    ]


@workflow(name="retries-follower")
def follower(run: WorkflowRun) -> str:
    try:
        return child.options(reference_id="shared").run(run)
    except WorkflowFailed:
        return call.run(run, "coped")


def test_a_run_whose_end_others_have_seen_is_not_retried(house: House) -> None:
    """They would find another end than the one their record goes by."""
    broken.add("child")
    text = child.signature.bind_input((), {}).text
    found = house.journal.starts.insert(_run_of(child, text, "shared"))
    house.inbox.append(found)
    assert "failed" == ended(house, found)
    assert "coped" == house.result_of(follower)
    with pytest.raises(RunError, match=r"by 1 other run"):
        house.journal.second_chances.retry(found)


def _run_of(definition: Any, text: str, reference_id: str) -> Any:
    return new_run(
        workflow=definition.name,
        version=definition.version,
        input=text,
        input_hash=definition.signature.hash({}),
        reference_id=reference_id,
    )


@workflow(name="retries-parent-of-cancelled")
def parent_of_cancelled(run: WorkflowRun) -> list[str]:
    started = sleeping_child.start(run)
    return [call.run(run, "work"), started.result()]


def test_children_that_ended_with_the_run_are_started_again(house: House) -> None:
    """They were cancelled because the run had failed; the run that goes on has them back."""
    broken.add("work")
    run_id = house.enqueue(parent_of_cancelled)
    assert "failed" == ended(house, run_id)
    assert ["cancelled"] == [row.status for row in children_of(house.journal, run_id)]
    assert "completed" == retried(house, run_id)
    assert ["cancelled", "completed"] == [row.status for row in children_of(house.journal, run_id)]
    assert {"work": 2, "child": 1} == calls


@workflow(name="retries-cancelled-too-late")
def cancelled_too_late(run: WorkflowRun) -> list[str]:
    started = [call.start(run, "step"), sleeping_child.start(run)]
    return [call.run(run, "work"), *run.gather(*started)]


def test_what_a_cancel_has_ended_before_the_run_failed_by_itself_is_started_again(house: House) -> None:
    """The run was not told, and has failed; what it had started is back when it goes on."""
    broken.add("work")
    run_id = house.enqueue(cancelled_too_late)
    off = house.hooks.on(StepStarting, lambda _: off() or house.journal.control.cancel(run_id))
    house.take(run_id)
    assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    assert {"work": 2, "step": 1, "child": 1} == calls


@workflow(name="retries-leaving-an-orphan", retry=Retry.fixed(2, 0.001))
def leaving_an_orphan(run: WorkflowRun) -> str:
    try:
        return fails_at_first.run(run, "work")
    except TaskFailed:
        long_child.start(run)
        raise


@workflow(name="retries-long-child")
def long_child(run: WorkflowRun) -> None:
    run.sleep(3600)


def test_children_that_were_put_aside_end_with_the_run_all_the_same(house: House) -> None:
    """The second attempt starts none, and still closes the first one's."""
    run_id = house.enqueue(leaving_an_orphan)
    assert "completed" == ended(house, run_id)
    assert ["cancelled"] == [row.status for row in children_of(house.journal, run_id)]


@workflow(name="retries-limited")
def limited(run: WorkflowRun) -> str:
    return call.start(run, "limited").result()


def test_a_hard_time_limit_of_a_started_step_is_an_attempt_and_no_crash(house: House) -> None:
    """The death of its process, which the limit has ended, is not taken for a crash."""
    run_id = house.enqueue(limited)
    house.take(run_id)
    step_id = children_of(house.journal, run_id)[0].id
    house.journal.claims.claim(step_id, ALICE, token())
    house.journal.recovery.fail_timed_out(step_id, ALICE.worker_id, ALICE.pid, 5.0)
    assert ([], []) == house.journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    assert house.binding.expire_step(step_id)
    row = run_row(house.journal, step_id)
    assert ("failed", 0) == (row.status, row.recoveries)
    assert "longer than its timeout of 5 s" in row.error
