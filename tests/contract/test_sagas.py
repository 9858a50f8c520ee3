"""Sagas: what a block has done is undone, the last thing first, when it does not end well."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import (
    CompensationFailed,
    InputInvalid,
    RunError,
    TaskFailed,
    WorkflowRun,
    workflow,
)
from aiki_celery.journal.journal import Journal
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import book, broken, cancel, cancel_thrice, ended, error_of, forget, told


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


def booked(run: WorkflowRun, *names: str) -> list[str]:
    with run.saga() as saga:
        for name in names:
            saga.add(cancel, book.run(run, name))
    return list(names)


@workflow(name="saga-trip")
def trip(run: WorkflowRun) -> list[str]:
    return booked(run, "hotel", "flight", "car")


@workflow(name="saga-mended")
def mended(run: WorkflowRun) -> str:
    try:
        booked(run, "hotel", "flight")
    except TaskFailed:
        return book.run(run, "train")
    return "flies"


@workflow(name="saga-patient")
def patient(run: WorkflowRun) -> None:
    with run.saga() as saga:
        for name in ("hotel", "flight", "car"):
            saga.add(cancel_thrice, book.run(run, name))
        raise RuntimeError("no seats")


@workflow(name="saga-nested")
def nested(run: WorkflowRun) -> str:
    with run.saga() as outer:
        outer.add(cancel, book.run(run, "hotel"))
        with run.saga() as inner:
            inner.add(cancel, book.run(run, "flight"))
        try:
            with run.saga() as other:
                other.add(cancel, book.run(run, "tour"))
                other.add(cancel, book.run(run, "guide"))
        except TaskFailed:
            outer.add(cancel, book.run(run, "museum"))
        book.run(run, "car")
    return "booked"


@workflow(name="saga-slow")
def slow(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        run.sleep(0.01)
        future = book.start(run, "flight")
        saga.add(cancel, future.result())
        run.sleep(0.01)
        raise LookupError("no car")


@workflow(name="saga-child-undo")
def undo_by_child(run: WorkflowRun, name: str) -> str:
    run.sleep(0.01)
    return cancel.run(run, name)


@workflow(name="saga-with-child")
def with_child(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        saga.add(undo_by_child, book.run(run, "flight"))
        saga.add(cancel.options(key="by-key"), "car")
        raise LookupError("no car")


@workflow(name="saga-outstanding")
def outstanding(run: WorkflowRun) -> None:
    with run.saga() as saga:
        saga.add(cancel, "pack")
        book.start(run, "pack")
        book.run(run, "label")
        raise LookupError("no parcel")


@workflow(name="saga-side-trip")
def side_trip(run: WorkflowRun, name: str) -> str:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, name))
        run.sleep(60 if name == "inside" else 0.01)
        saga.add(cancel, book.run(run, f"{name}, second night"))
    return name


@workflow(name="saga-with-children-out")
def with_children_out(run: WorkflowRun) -> str:
    before = side_trip.start(run, "before")
    try:
        with run.saga() as saga:
            saga.add(cancel, book.run(run, "hotel"))
            own = side_trip.start(run, "inside")
            free = side_trip.options(on_parent_close="abandon").start(run, "free")
            unwritten = book.start(run, "car")
            run.first(own, unwritten)
            raise LookupError("no seat")
    except LookupError:
        return ", ".join([before.result(), free.result(), unwritten.result()])


@workflow(name="saga-by-hand")
def by_hand(run: WorkflowRun) -> str:
    saga = run.saga()
    saga.add(cancel, book.run(run, "hotel"))
    saga.add(cancel, book.run(run, "flight"))
    saga.compensate()
    saga.add(cancel, book.run(run, "train"))
    saga.compensate()
    saga.compensate()
    return "at home"


@workflow(name="saga-changed-list")
def changed_list(run: WorkflowRun) -> None:
    with run.saga() as saga:
        names = ["a"]
        saga.add(cancel, "".join(names))
        names.append("b")
        raise LookupError("changed")


def test_block_that_ends_well_undoes_nothing(house: House) -> None:
    """Its compensations are forgotten."""
    assert ["hotel", "flight", "car"] == house.result_of(trip)
    assert ["hotel", "flight", "car"] == told()


def test_block_that_raises_undoes_what_was_done_the_last_first(house: House) -> None:
    """The step that failed has nothing to be undone; the error goes on as it was."""
    broken.add("car")
    run_id = house.enqueue(trip)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "car", "-flight", "-hotel"] == told()
    assert "car is broken" in error_of(house.journal, run_id)


def test_error_that_is_caught_after_its_block_was_undone(house: House) -> None:
    """The workflow goes on another way."""
    broken.add("flight")
    assert "train" == house.result_of(mended)
    assert ["hotel", "flight", "-hotel", "train"] == told()


def test_compensations_survive_waits_and_started_steps(house: House) -> None:
    """The block is replayed after each wait, and nothing is undone before its end, or twice."""
    run_id = house.enqueue(slow)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "-flight", "-hotel"] == told()


def test_compensation_may_be_a_child_workflow_or_have_options(house: House) -> None:
    """They run in order, also where one of them waits."""
    run_id = house.enqueue(with_child)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "-car", "-flight", "-hotel"] == told()


def test_compensation_does_not_overtake_a_started_step(house: House) -> None:
    """What was started in the block and is under way is waited for before anything is undone."""
    run_id = house.enqueue(outstanding)
    assert "failed" == ended(house, run_id)
    assert ["label", "pack", "-pack"] == told()


def test_child_that_was_started_in_the_block_is_cancelled_and_undoes_its_own(house: House) -> None:
    """One that was started before the block, or is to go on by itself, goes on."""
    assert "before, free, car" == house.result_of(with_children_out)
    did = told()
    nights = {f"{name}, second night" for name in ("before", "free")}
    assert {"hotel", "inside", "before", "free", "car", "-inside", "-hotel", *nights} == set(did)
    assert (did.index("-inside") < did.index("-hotel"), len(did)) == (True, len(set(did)))


def test_compensate_by_hand_undoes_each_once(house: House) -> None:
    """What is added afterwards is undone the next time."""
    assert "at home" == house.result_of(by_hand)
    assert ["hotel", "flight", "-flight", "-hotel", "train", "-train"] == told()


def test_nested_block_that_ended_well_is_undone_with_the_outer_one(house: House) -> None:
    """One that did not has been undone already, and what took its place is undone."""
    broken.update({"guide", "car"})
    run_id = house.enqueue(nested)
    assert "failed" == ended(house, run_id)
    assert [
        *("hotel", "flight", "tour", "guide", "-tour", "museum", "car"),
        *("-museum", "-flight", "-hotel"),
    ] == told()


def test_compensation_that_fails_is_retried_and_the_others_run_all_the_same(house: House) -> None:
    """The error names what could not be undone, and what it was to follow."""
    broken.add("-flight")
    run_id = house.enqueue(patient)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "car", "-car", "-flight", "-flight", "-flight", "-hotel"] == told()
    row = run_row(house.journal, run_id)
    assert "CompensationFailed" in row.error
    assert "saga-cancel-thrice: TaskFailed: saga-cancel-thrice failed after 3 attempts" in row.reason
    assert "RuntimeError: no seats" in row.reason


def test_compensation_failed_keeps_its_facts_and_its_cause() -> None:
    """It survives pickling, as every error does."""
    import pickle

    error = CompensationFailed("trip", "r-1", [("refund", "TaskFailed: gone")], "ValueError: no seats")
    again = pickle.loads(pickle.dumps(error))
    assert (error.args, str(error)) == (again.args, str(again))
    assert (("refund", "TaskFailed: gone"),) == again.failures


def test_arguments_are_those_of_the_moment_they_were_added(house: House) -> None:
    """What becomes of a value later makes no difference."""
    run_id = house.enqueue(changed_list)
    assert "failed" == ended(house, run_id)
    assert ["-a"] == told()


def _refused(house: House, add: Any) -> Exception:
    """What adding a compensation raises; nothing was done by then."""
    caught: list[Exception] = []

    def body(run: WorkflowRun) -> None:
        saga = run.saga()
        try:
            add(saga)
        except Exception as error:
            caught.append(error)

    house.result_of(workflow(name="saga-refused", version=f"1.{id(body)}")(body))
    assert [] == told()
    return caught[0]


@pytest.mark.parametrize(
    ("add", "kind", "message"),
    [
        (lambda saga: saga.add(cancel, 5), InputInvalid, "saga-cancel: argument 'what'"),
        (lambda saga: saga.add(cancel), InputInvalid, "missing a required argument"),
        (lambda saga: saga.add(cancel, "a", other=1), InputInvalid, "saga-cancel"),
        (lambda saga: saga.add(print, "a"), InputInvalid, "must be a task or a workflow"),
        (lambda saga: saga.add(undo_by_child, 5), InputInvalid, "saga-child-undo: argument 'name'"),
    ],
)
def test_bad_compensation_is_refused_at_once(
    house: House, add: Any, kind: type[Exception], message: str
) -> None:
    """Before anything is done that could not be undone."""
    error = _refused(house, add)
    assert isinstance(error, kind)
    assert message in str(error)


def test_saga_has_one_block(house: House) -> None:
    """After it, nothing is added, and it is not entered again."""

    def add_late(saga: Any) -> None:
        with saga:
            pass
        saga.add(cancel, "a")

    def enter_twice(saga: Any) -> None:
        with saga, saga:
            pass

    assert isinstance(_refused(house, add_late), RunError)
    assert "one block" in str(_refused(house, enter_twice))


@pytest.mark.parametrize("fails", [True, False], ids=["the outer one fails", "the outer one ends well"])
def test_inner_saga_that_is_compensated_by_hand_after_its_block_is_so_once(house: House, fails: bool) -> None:
    """It shares what undoes its block with the outer one; whoever comes first runs it."""

    def body(run: WorkflowRun) -> None:
        with run.saga() as outer:
            outer.add(cancel, book.run(run, "hotel"))
            with run.saga() as inner:
                inner.add(cancel, book.run(run, "flight"))
            assert ["saga-cancel"] * 2 == outer.names
            inner.compensate()
            inner.compensate()
            assert (["saga-cancel"], []) == (outer.names, inner.names)
            if fails:
                raise LookupError("no car")

    run_id = house.enqueue(workflow(name=f"saga-by-hand-{fails}")(body))
    assert ("failed" if fails else "completed") == ended(house, run_id), error_of(house.journal, run_id)
    assert ["hotel", "flight", "-flight", *(["-hotel"] if fails else [])] == told()
