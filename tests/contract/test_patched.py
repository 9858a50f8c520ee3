"""``run.patched``: code inserted under runs in flight; decided once per run, and the same on every replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aiki_celery import InputInvalid, Retry, TaskFailed, WorkflowRun, task, workflow
from aiki_celery.cli.timeline import describe
from aiki_celery.engine.ports import Forever
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus, StepKind
from tests.contract.counting import counting
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, broken, done, ended, forget, told

Body = Callable[[WorkflowRun], Any]


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


@task(name="patched-flaky", retry=Retry.fixed(5, 0.001))
def flaky(what: str) -> str:
    done.append(what)
    if what in broken:
        raise ValueError(what)
    return what


def deploy(body: Body, retry: Retry | None = None) -> Any:
    """Puts code in the place of the code before it."""

    @workflow(name="patched-flow", retry=retry)
    def flow(run: WorkflowRun) -> Any:
        return body(run)

    return flow


def in_flight(house: House, body: Body, status: str, retry: Retry | None = None) -> str:
    """A run of this code that waits in a state; gives its id, and forgets what it did."""
    run_id = house.enqueue(deploy(body, retry))
    house.take(run_id)
    while house.inbox:
        house.take(house.inbox[0])
    assert status == run_row(house.journal, run_id).status
    told()
    return run_id


def result(house: House, run_id: str) -> Any:
    """Brings a run to its end and gives its result."""
    assert "completed" == ended(house, run_id), run_row(house.journal, run_id).error
    return json.loads(run_row(house.journal, run_id).output)


def patches(house: House, run_id: str) -> list[str]:
    """The markers that a run has recorded."""
    return [step.name for step in house.journal.views.steps(run_id) if step.kind is StepKind.PATCH]


def sleeps_twice(run: WorkflowRun) -> None:
    book.run(run, "a")
    run.sleep(0.005)
    run.sleep(0.005)
    book.run(run, "b")


def test_new_run_takes_the_patch_and_writes_it_down_once(house: House) -> None:
    """Calls with one name get one answer for one write."""

    def body(run: WorkflowRun) -> list[bool]:
        return [run.patched("p"), run.patched("p"), run.patched("other")]

    run_id = house.enqueue(deploy(body))
    assert [True, True, True] == result(house, run_id)
    assert ["p", "other"] == patches(house, run_id)


def test_marker_costs_one_write(house: House) -> None:
    """And nothing when it is asked for again, or is there already."""
    costs = []

    def body(run: WorkflowRun) -> None:
        with counting(house.journal) as counted:
            run.patched("p")
            run.patched("p")
        costs.append(counted.cost)
        run.sleep(0.005)

    house.result_of(deploy(body))
    assert [(1, 1), (0, 0)] == costs


def test_run_that_has_not_come_there_takes_the_patch(house: House) -> None:
    """It sleeps before the call, and nothing is recorded beyond."""
    run_id = in_flight(house, sleeps_twice, "sleeping")

    def patched(run: WorkflowRun) -> None:
        book.run(run, "a")
        run.sleep(0.005)
        if run.patched("p"):
            book.run(run, "new")
        run.sleep(0.005)
        book.run(run, "b")

    deploy(patched)
    result(house, run_id)
    assert (["new", "b"], ["p"]) == (told(), patches(house, run_id))


def test_run_that_was_beyond_goes_on_without(house: House) -> None:
    """It sleeps right after the place of the call, and has nothing recorded there but that."""
    run_id = in_flight(house, sleeps_twice, "sleeping")

    def patched(run: WorkflowRun) -> list[bool]:
        book.run(run, "a")
        taken = [run.patched("p")]
        if taken[0]:
            book.run(run, "new")
        run.sleep(0.005)
        run.sleep(0.005)
        book.run(run, "b")
        return [*taken, run.patched("p"), run.patched("later")]

    deploy(patched)
    assert [False, False, True] == result(house, run_id)
    assert (["b"], ["later"]) == (told(), patches(house, run_id))


def test_answer_is_the_same_in_a_loop(house: House) -> None:
    """Also where the run gets beyond its record in the middle of it."""

    def old(run: WorkflowRun) -> None:
        for number in range(3):
            book.run(run, str(number))
            run.sleep(0.003)

    run_id = in_flight(house, old, "sleeping")

    def patched(run: WorkflowRun) -> list[bool]:
        answers = []
        for number in range(3):
            if run.patched("p"):
                book.run(run, f"new {number}")
            answers.append(run.patched("p"))
            book.run(run, str(number))
            run.sleep(0.003)
        return answers

    deploy(patched)
    assert [False] * 3 == result(house, run_id)
    assert ["1", "2"] == told()
    assert [True] * 3 == house.result_of(deploy(patched))
    assert ["new 0", "0", "new 1", "1", "new 2", "2"] == told()


def test_guard_may_be_taken_away_and_its_code_kept(house: House) -> None:
    """The marker that a run has recorded is not missed."""

    def guarded(run: WorkflowRun) -> None:
        book.run(run, "a")
        if run.patched("p"):
            book.run(run, "new")
        run.sleep(0.005)
        book.run(run, "b")

    run_id = in_flight(house, guarded, "sleeping")

    def bare(run: WorkflowRun) -> bool:
        book.run(run, "a")
        book.run(run, "new")
        run.sleep(0.005)
        is_new = run.patched("q")
        book.run(run, "b")
        return is_new

    deploy(bare)
    assert result(house, run_id) is True
    assert (["b"], ["p", "q"]) == (told(), patches(house, run_id))


def test_patch_may_choose_between_old_and_new(house: House) -> None:
    """A step is replaced by another one for the runs that have not done it."""

    def old(run: WorkflowRun) -> str:
        kind = book.run(run, "old")
        run.sleep(0.005)
        return kind

    run_id = in_flight(house, old, "sleeping")

    def patched(run: WorkflowRun) -> str:
        kind = book.run(run, "new" if run.patched("p") else "old")
        run.sleep(0.005)
        return kind

    flow = deploy(patched)
    assert ("old", "new") == (result(house, run_id), house.result_of(flow))


def test_run_that_waits_for_an_attempt_is_beyond(house: House) -> None:
    """The step was begun without the patch, though it has no outcome yet."""
    broken.add("b")

    def old(run: WorkflowRun) -> str:
        book.run(run, "a")
        return flaky.run(run, "b")

    run_id = in_flight(house, old, "awaiting_retry")
    broken.clear()

    def patched(run: WorkflowRun) -> list[Any]:
        book.run(run, "a")
        before = run.patched("before")
        if before:
            book.run(run, "new")
        return [before, flaky.run(run, "b"), run.patched("after")]

    deploy(patched)
    assert [False, "b", True] == result(house, run_id)
    assert ["b"] == told()


def test_run_that_waits_for_started_steps_takes_what_comes_before_the_wait(house: House) -> None:
    """Waiting records nothing, so nothing is recorded beyond; a call before the starts is behind it."""

    def old(run: WorkflowRun) -> None:
        futures = [book.start(run, name) for name in ("a", "b")]
        run.gather(*futures)
        book.run(run, "c")

    run_id = house.enqueue(deploy(old))
    house.take(run_id)
    assert "awaiting_steps" == run_row(house.journal, run_id).status

    def patched(run: WorkflowRun) -> list[bool]:
        answers = [run.patched("before the starts")]
        futures = [book.start(run, name) for name in ("a", "b")]
        answers.append(run.patched("before the wait"))
        if answers[-1]:
            book.run(run, "new")
        run.gather(*futures)
        answers.append(run.patched("after the wait"))
        book.run(run, "c")
        return answers

    deploy(patched)
    assert [False, True, True] == result(house, run_id)
    assert ["a", "b", "new", "c"] == told()


def test_answer_survives_a_retry_of_the_workflow(house: House) -> None:
    """A run that went without it goes without it again; one that had taken it does so again."""
    twice = Retry.fixed(2, 0.005)

    def old(run: WorkflowRun) -> None:
        book.run(run, "a")
        book.run(run, "b")
        book.run(run, "c")

    broken.add("c")
    run_id = in_flight(house, old, "awaiting_retry", twice)

    def patched(run: WorkflowRun) -> bool:
        book.run(run, "a")
        taken = run.patched("p")
        if taken:
            book.run(run, "new")
        book.run(run, "b")
        book.run(run, "c")
        return taken

    deploy(patched, twice)
    broken.clear()
    assert result(house, run_id) is False
    assert ["c"] == told()

    broken.add("b")
    run_id = in_flight(house, patched, "awaiting_retry", twice)
    broken.clear()
    assert result(house, run_id) is True
    assert (["b", "c"], ["p"]) == (told(), patches(house, run_id))


def test_saga_that_is_begun_anew_takes_the_patch(house: House) -> None:
    """What was recorded without it was undone and put aside, so nothing is in its way."""
    twice = Retry.fixed(2, 0.005)

    def old(run: WorkflowRun) -> None:
        with run.saga() as saga:
            saga.add(book, f"-{book.run(run, 'a')}")
            book.run(run, "b")

    broken.add("b")
    run_id = in_flight(house, old, "awaiting_retry", twice)
    broken.clear()

    def patched(run: WorkflowRun) -> bool:
        with run.saga() as saga:
            taken = run.patched("p")
            if taken:
                book.run(run, "new")
            saga.add(book, f"-{book.run(run, 'a')}")
            book.run(run, "b")
        return taken

    deploy(patched, twice)
    assert result(house, run_id) is True
    assert ["new", "a", "b"] == told()


def test_wait_that_was_removed_is_not_in_the_way(house: House) -> None:
    """It stays unread for ever, and says nothing about how far the run has come."""

    def old(run: WorkflowRun) -> None:
        run.sleep(0.003, name="gone")
        book.run(run, "a")
        run.sleep(0.003)

    run_id = in_flight(house, old, "sleeping")
    house.publish(house.journal.timers.queue_due({"patched-flow@1.0.0"}, 10))
    while RunStatus.QUEUED != run_row(house.journal, run_id).status:
        house.publish(house.journal.timers.queue_due({"patched-flow@1.0.0"}, 10))
    house.take(run_id)

    def patched(run: WorkflowRun) -> list[bool]:
        book.run(run, "a")
        answers = [run.patched("p")]
        run.sleep(0.003)
        answers.append(run.patched("q"))
        run.sleep(0.003)
        return answers

    deploy(patched)
    assert [False, True] == result(house, run_id)


@pytest.mark.parametrize("name", ["", "x" * 201, "line\nbreak", 5, None, ["list"]])
def test_bad_name_is_refused(house: House, name: Any) -> None:
    """Before anything is written."""

    def body(run: WorkflowRun) -> str:
        try:
            run.patched(name)
        except InputInvalid as error:
            return str(error)
        return "taken"

    assert "argument 'name': must be 1 to 200 printable characters" in house.result_of(deploy(body))


def test_replay_of_a_finished_run_gives_the_same_answers(house: House) -> None:
    """Of the one that took the patch, and of the one that did not."""

    def old(run: WorkflowRun) -> None:
        book.run(run, "a")
        run.sleep(0.003)

    without = in_flight(house, old, "sleeping")

    def patched(run: WorkflowRun) -> bool:
        book.run(run, "a")
        taken = run.patched("p")
        try:
            if taken:
                book.run(run, "new")
        except TaskFailed:
            return False
        run.sleep(0.003)
        return taken

    flow = deploy(patched)
    with_it = house.enqueue(flow)
    assert (False, True) == (result(house, without), result(house, with_it))
    told()
    for run_id, taken in ((without, "false"), (with_it, "true")):
        runs = house.journal.schema.runs
        with house.journal.connections.transaction() as connection:
            connection.execute(runs.update().where(runs.c.id == run_id).values(status="queued", output=None))
        claimed = house.executor.claim(run_id, house.binding.process.owner())
        assert claimed is not None
        outcome = house.executor.run(flow, *claimed, Forever(), told=True)
        assert (taken, []) == (outcome.output, told())


def test_patch_is_a_line_of_the_runs_timeline(house: House) -> None:
    """As `run show` prints it."""
    run_id = house.enqueue(deploy(lambda run: run.patched("new-carrier")))
    house.drain()
    views = house.journal.views
    text = describe(views.get(run_id), views.steps(run_id), {}, views.history(run_id))
    assert "  patch 'new-carrier' taken  " in text
