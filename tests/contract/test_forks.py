"""A fork begins with what another run has recorded, and goes on by itself."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import (
    InputInvalid,
    OutcomeUnknown,
    ReferenceConflict,
    Retry,
    RunNotFound,
    WorkflowRun,
    WrongState,
    current_step,
    task,
    workflow,
)
from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.families import children_of
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, queued
from tests.contract.test_budgets import LetGoAfter
from tests.harness.invariants import check_families

keys: list[str] = []
calls: list[str] = []
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    keys.clear()
    calls.clear()
    broken.clear()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


@task(name="fork-do")
def do(what: str) -> str:
    keys.append(current_step().idempotency_key)
    calls.append(what)
    if what in broken:
        raise ValueError(f"{what} is broken")
    return what


@task(name="fork-far")
def far(what: str) -> str:
    return do.function(what)


@workflow(name="fork-line")
def line(run: WorkflowRun) -> list[str]:
    return [do.run(run, what) for what in ("a", "b", "c")]


@workflow(name="fork-drawn")
def drawn(run: WorkflowRun) -> list[str]:
    """Every step is given what is drawn just before it, and the run's id."""
    return [do.run(run, f"{name} {run.uuid4()} {run.random()} {run.id}") for name in ("a", "b", "c")]


@workflow(name="fork-apart")
def apart(run: WorkflowRun) -> list[str]:
    futures = [far.start(run, what) for what in ("left", "right")]
    return [*run.gather(*futures), do.run(run, "last")]


@workflow(name="fork-child")
def child(run: WorkflowRun) -> str:
    run.sleep(3600)
    return "slept"


@workflow(name="fork-parent")
def parent(run: WorkflowRun) -> str:
    future = child.start(run)
    do.run(run, "after the start")
    return future.result()


def ended(house: House, run_id: str) -> Any:
    house.drain()
    return run_row(house.journal, run_id)


def test_fork_goes_on_from_a_step(house: House) -> None:
    """The steps before it are found, those from it on are done anew, under keys of the new run."""
    run_id = house.enqueue(line)
    before = ended(house, run_id)
    calls.clear(), keys.clear()

    row = ended(house, copy := forked(house, run_id, 2))

    assert (RunStatus.COMPLETED, before.output, ["b", "c"]) == (row.status, row.output, calls)
    assert [copy, copy] == [key.partition(":")[0] for key in keys]
    assert (run_id, 1, 1) == (row.forked_from, row.epoch, row.attempt)
    assert dict(before._mapping) == dict(run_row(house.journal, run_id)._mapping)


def test_fork_of_a_failed_run_does_the_failed_step_again(house: House) -> None:
    """By default; what it had finished is not done again."""
    broken.add("b")
    run_id = house.enqueue(line)
    assert RunStatus.FAILED == ended(house, run_id).status
    broken.clear()
    calls.clear()

    assert RunStatus.COMPLETED == ended(house, forked(house, run_id)).status
    assert ["b", "c"] == calls
    assert RunStatus.FAILED == run_row(house.journal, run_id).status


@pytest.mark.parametrize("from_step", [1, 2, 3, 4, None, "fork-do"])
def test_what_was_drawn_before_the_fork_is_drawn_again(house: House, from_step: int | str | None) -> None:
    """So that the steps it was given to are found; from the fork on, other values are drawn."""
    run_id = house.enqueue(drawn)
    ended(house, run_id)
    original = list(calls)
    cut = {None: 4, "fork-do": 1}.get(from_step, from_step)  # type: ignore[arg-type,call-overload]
    calls.clear()

    row = ended(house, forked(house, run_id, from_step))

    assert (RunStatus.COMPLETED, 4 - cut) == (row.status, len(calls))
    assert not set(original) & set(calls)


def test_fork_of_a_fork_of_a_fork_finds_it_all(house: House) -> None:
    """What was drawn by each of them, too."""
    run_id = house.enqueue(drawn)
    ended(house, run_id)
    second = forked(house, run_id, 3)
    ended(house, second)
    third = forked(house, second, 4)
    fourth = forked(house, third, 2)
    assert run_row(house.journal, second).output == ended(house, third).output
    assert 5 == len(calls) - 1
    assert RunStatus.COMPLETED == run_row(house.journal, fourth).status


def test_fork_of_a_run_whose_steps_are_under_way_waits_for_the_same(house: House) -> None:
    """Each is done once, and both runs are told."""
    run_id = house.enqueue(apart)
    house.take(run_id)
    assert RunStatus.AWAITING_STEPS == run_row(house.journal, run_id).status

    copy = forked(house, run_id)

    assert [1, 1] == [row.followers for row in children_of(house.journal, run_id)]
    house.drain()
    outputs = {run_row(house.journal, one).output for one in (run_id, copy)}
    assert {'["left","right","last"]'} == outputs
    assert sorted(["left", "right", "last", "last"]) == sorted(calls)
    assert 0 == len(children_of(house.journal, copy))


def test_steps_that_a_live_fork_waits_for_outlive_their_run(house: House) -> None:
    """The origin is cancelled once the fork has taken its place; what both waited for goes on."""
    run_id = house.enqueue(apart)
    house.take(run_id)
    copy = forked(house, run_id)
    house.journal.control.cancel(run_id, "replaced")
    house.inbox.append(run_id)

    assert RunStatus.COMPLETED == ended(house, copy).status
    assert RunStatus.CANCELLED == run_row(house.journal, run_id).status


def test_children_that_ended_with_their_run_are_started_again(house: House) -> None:
    """They were cancelled because it had failed; the fork has children of its own."""
    broken.add("after the start")
    run_id = house.enqueue(parent)
    house.take(run_id)
    house.inbox.clear()
    [gone] = children_of(house.journal, run_id)
    assert (RunStatus.FAILED, RunStatus.CANCELLED) == (run_row(house.journal, run_id).status, gone.status)
    broken.clear()

    copy = forked(house, run_id)
    house.take(copy)

    [own] = children_of(house.journal, copy)
    assert (RunStatus.AWAITING_STEPS, RunStatus.QUEUED) == (run_row(house.journal, copy).status, own.status)
    check_families(house.journal.connections.engine)


def test_marker_of_a_retry_stays_in_force(house: House) -> None:
    """What a retry had put aside is not found by the fork either."""
    broken.add("b")
    run_id = house.enqueue(line)
    ended(house, run_id)
    broken.clear()
    again = house.journal.second_chances.retry(run_id)
    assert again is not None
    house.publish([again])
    ended(house, run_id)
    calls.clear()

    row = ended(house, forked(house, run_id))

    assert (RunStatus.COMPLETED, [], 2) == (row.status, calls, row.attempt)


def test_fork_is_refused_with_what_there_is(house: House) -> None:
    """A place or a step that is not there, a version, a run, a step's own run, a taken reference id."""
    journal = house.journal
    run_id = house.enqueue(apart)
    ended(house, run_id)
    rows = count(journal, "runs"), count(journal, "steps")
    for from_step in (0, 5, -1, True, 2.0, "nope"):
        with pytest.raises(InputInvalid, match="from_step"):
            forked(house, run_id, from_step)  # type: ignore[arg-type]
    with pytest.raises(InputInvalid, match=r"there is no '2\.0\.0' here; there is 1\.0\.0"):
        forked(house, run_id, version="2.0.0")
    with pytest.raises(RunNotFound):
        forked(house, "nope")
    with pytest.raises(WrongState, match=f"fork run {run_id}"):
        forked(house, children_of(journal, run_id)[0].id)
    with pytest.raises(InputInvalid, match="reference_id"):
        fork(journal, run_id, Wish(None, None, "r" * 201))
    other = queued(journal, workflow="fork-apart", reference_id="mine")
    with pytest.raises(ReferenceConflict, match=other):
        fork(journal, run_id, Wish(None, None, "mine"))
    assert (rows[0] + 1, rows[1]) == (count(journal, "runs"), count(journal, "steps"))


def test_fork_of_a_sleeping_run_sleeps_on(house: House) -> None:
    """The sleep is recorded, and not over."""
    run_id = house.enqueue(child)
    house.take(run_id)
    copy = forked(house, run_id)
    house.take(copy)
    due = [run_row(house.journal, one).due_at for one in (run_id, copy)]
    assert due[0] == due[1]
    assert RunStatus.SLEEPING == run_row(house.journal, copy).status


#: What each version of the workflow below does, as it is deployed.
deployed: dict[str, list[str]] = {}


def as_deployed(run: WorkflowRun) -> list[str]:
    return [do.run(run, what) for what in deployed[run.version]]


first_version = workflow(name="fork-versions", version="1.0.0")(as_deployed)


@workflow(name="fork-versions", version="2.0.0")
def second_version(run: WorkflowRun) -> list[str]:
    return as_deployed(run)


def test_run_that_has_diverged_goes_on_in_a_fork_of_another_version(house: House) -> None:
    """A deploy has changed the code under it; the new version fits what it has recorded, and repeats nothing."""
    deployed.update({"1.0.0": ["a", "b", "c"], "2.0.0": ["a", "b", "d"]})
    broken.add("c")
    run_id = house.enqueue(first_version)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    house.executor.run(first_version, *taken, LetGoAfter(2), told=True)
    deployed["1.0.0"] = ["a", "x", "c"]
    house.take(run_id)
    assert ("stalled", "diverged") == ((row := run_row(house.journal, run_id)).status, row.reason)
    calls.clear()

    row = ended(house, forked(house, run_id, version="2.0.0"))

    assert (RunStatus.COMPLETED, '["a","b","d"]', "2.0.0") == (row.status, row.output, row.version)
    assert ["d"] == calls
    assert "fork-versions@2.0.0" == row.definition


@task(name="fork-once", at_most_once=True)
def once(what: str) -> str:
    keys.append(current_step().idempotency_key)
    raise SystemExit(what)


@workflow(name="fork-unknown")
def unknown(run: WorkflowRun) -> str:
    try:
        once.run(run, "a")
    except OutcomeUnknown as error:
        return do.run(run, error.idempotency_key)
    return "never"


def test_step_whose_outcome_is_unknown_is_known_by_its_own_key(house: House) -> None:
    """It was called by the run that the fork was made from: that key is the one to ask about."""
    run_id = house.enqueue(unknown)
    with pytest.raises(SystemExit):
        house.take(run_id)
    house.inbox.append(run_id)
    house.drain()
    [key] = set(keys) - {one for one in keys if "fork-do" in one}
    assert f'"{key}"' == run_row(house.journal, run_id).output
    for place in (2, 3):
        assert f'"{key}"' == ended(house, forked(house, run_id, place)).output


def test_step_with_failed_attempts_goes_on_with_the_next(house: House) -> None:
    """From its record on; from its name on it begins anew."""
    broken.add("flaky")
    run_id = house.enqueue(trying)
    assert RunStatus.FAILED == ended(house, run_id).status
    kinds = [step.kind for step in house.journal.views.steps(run_id)]
    assert [StepKind.ATTEMPT, StepKind.ATTEMPT, StepKind.TASK] == kinds
    for from_step, left in ((3, 1), ("fork-flaky", 3), (None, 3)):
        calls.clear()
        assert RunStatus.FAILED == ended(house, forked(house, run_id, from_step)).status  # type: ignore[arg-type]
        assert ["flaky"] * left == calls


@task(name="fork-flaky", retry=Retry.fixed(3, 0.001))
def flaky() -> str:
    return do.function("flaky")


@workflow(name="fork-trying")
def trying(run: WorkflowRun) -> str:
    return flaky.run(run)
