"""A run whose saga has undone its steps is tried again: those are done again, and nothing else."""

from __future__ import annotations

import pytest

from aiki_celery import CompensationFailed, Retry, TaskFailed, WorkflowRun, workflow
from aiki_celery.cli.timeline import describe
from aiki_celery.journal.journal import Journal
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.contract.sagas import (
    book,
    broken,
    cancel,
    cancel_thrice,
    done,
    ended,
    forget,
    keys,
    retried,
    told,
)
from tests.harness.invariants import check_invariants

#: What the databases do is shown elsewhere; here it is the engine that counts.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

TWICE = Retry.fixed(2, 0.005)


@pytest.fixture(autouse=True)
def _all_is_new() -> None:
    forget()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal, inline_wait=0.0)


def trip(run: WorkflowRun) -> str:
    book.run(run, "insurance")
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        saga.add(cancel, book.run(run, "flight"))
        book.run(run, "car")
    return book.run(run, "taxi")


def own_error(run: WorkflowRun) -> str:
    book.run(run, "insurance")
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        if run.attempt == 1:
            raise LookupError("no flight")
    return book.run(run, "taxi")


def by_hand(run: WorkflowRun) -> str:
    saga = run.saga()
    try:
        saga.add(cancel, book.run(run, "hotel"))
        if run.attempt == 1:
            raise LookupError("no flight")
    except LookupError:
        saga.compensate()
        raise
    return book.run(run, "taxi")


def decided(run: WorkflowRun) -> str:
    """Undoes because it wants to, and goes on: that is done with."""
    saga = run.saga()
    saga.add(cancel, book.run(run, "hotel"))
    saga.compensate()
    return book.run(run, "tent")


def mended(run: WorkflowRun) -> str:
    """Deals with the first error, and fails by another one."""
    try:
        with run.saga() as saga:
            saga.add(cancel, book.run(run, "hotel"))
            book.run(run, "car")
    except TaskFailed:
        book.run(run, "train")
    return book.run(run, "taxi")


def raised_from(run: WorkflowRun) -> str:
    """What it raises stems from the error that the saga has followed."""
    try:
        with run.saga() as saga:
            saga.add(cancel, book.run(run, "hotel"))
            book.run(run, "car")
    except TaskFailed as error:
        book.run(run, "notice")
        raise RuntimeError("no trip") from error
    return book.run(run, "taxi")


def nested(run: WorkflowRun) -> str:
    with run.saga() as outer:
        outer.add(cancel, book.run(run, "hotel"))
        with run.saga() as inner:
            inner.add(cancel, book.run(run, "flight"))
            book.run(run, "seat")
        book.run(run, "car")
    return book.run(run, "taxi")


def inner_alone(run: WorkflowRun) -> str:
    """The inner saga has nothing around it that is undone."""
    book.run(run, "insurance")
    with run.saga():
        book.run(run, "map")
        with run.saga() as inner:
            inner.add(cancel, book.run(run, "flight"))
            book.run(run, "seat")
    return book.run(run, "taxi")


def started(run: WorkflowRun) -> str:
    before = book.start(run, "insurance")
    with run.saga() as saga:
        hotel, flight = book.start(run, "hotel"), book.start(run, "flight")
        saga.add(cancel, hotel.result())
        saga.add(cancel, flight.result())
        later = book.start(run, "tour")
        book.run(run, "car")
        saga.add(cancel, later.result())
        before.result()
    return book.run(run, "taxi")


def started_before(run: WorkflowRun) -> str:
    """What fails in the block was started before it."""
    guide, map_ = book.start(run, "guide"), book.start(run, "map")
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        run.gather(map_, guide)
    return book.run(run, "taxi")


@workflow(name="saga-night-train")
def night_train(run: WorkflowRun, name: str) -> str:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, name))
        run.sleep(60 if broken else 0.01)
    return book.run(run, f"{name}, breakfast")


def with_child(run: WorkflowRun) -> str:
    """The child is under way when the block fails."""
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        train = night_train.options(reference_id=f"train-{run.id}").start(run, "train")
        book.start(run, "tour").result()
        book.run(run, "car")
    return train.result()


def slept(run: WorkflowRun) -> str:
    with run.saga() as saga:
        saga.add(cancel, book.run(run, "hotel"))
        run.sleep(0.01)
        saga.add(cancel, book.run(run, "flight"))
        run.sleep(0.01)
        book.run(run, "car")
    run.sleep(0.01)
    return book.run(run, "taxi")


FLOWS = (
    trip,
    own_error,
    by_hand,
    decided,
    mended,
    raised_from,
    nested,
    inner_alone,
    started,
    started_before,
    with_child,
    slept,
)
ONCE = {flow.__name__: workflow(name=f"saga-{flow.__name__}-once")(flow) for flow in FLOWS}
RETRIED = {flow.__name__: workflow(name=f"saga-{flow.__name__}-retried", retry=TWICE)(flow) for flow in FLOWS}

#: Per flow: what is broken at first, what is done until it fails, and what is done when it is tried again.
CASES = {
    "trip": (
        ["car"],
        ["insurance", "hotel", "flight", "car", "-flight", "-hotel"],
        ["hotel", "flight", "car", "taxi"],
    ),
    "trip, after the saga": (
        ["taxi"],
        ["insurance", "hotel", "flight", "car", "taxi"],
        ["taxi"],
    ),
    "trip, before the saga": (["insurance"], ["insurance"], ["insurance", "hotel", "flight", "car", "taxi"]),
    "trip, nothing done yet": (["hotel"], ["insurance", "hotel"], ["hotel", "flight", "car", "taxi"]),
    "own_error": ([], ["insurance", "hotel", "-hotel"], ["hotel", "taxi"]),
    "by_hand": ([], ["hotel", "-hotel"], ["hotel", "taxi"]),
    "decided": (["tent"], ["hotel", "-hotel", "tent"], ["tent"]),
    "mended": (
        ["car", "taxi"],
        ["hotel", "car", "-hotel", "train", "taxi"],
        ["taxi"],
    ),
    "raised_from": (["car"], ["hotel", "car", "-hotel", "notice"], ["hotel", "car", "taxi"]),
    "nested": (
        ["car"],
        ["hotel", "flight", "seat", "car", "-flight", "-hotel"],
        ["hotel", "flight", "seat", "car", "taxi"],
    ),
    "nested, inner": (
        ["seat"],
        ["hotel", "flight", "seat", "-flight", "-hotel"],
        ["hotel", "flight", "seat", "car", "taxi"],
    ),
    "inner_alone": (
        ["seat"],
        ["insurance", "map", "flight", "seat", "-flight"],
        ["flight", "seat", "taxi"],
    ),
    "started": (
        ["car"],
        ["insurance", "hotel", "flight", "car", "tour", "-flight", "-hotel"],
        ["hotel", "flight", "car", "tour", "taxi"],
    ),
    "with_child": (
        ["car"],
        ["hotel", "train", "tour", "car", "-train", "-hotel"],
        ["hotel", "train", "tour", "car", "train, breakfast"],
    ),
    "started_before": (["guide"], ["hotel", "guide", "map", "-hotel"], ["hotel", "guide", "taxi"]),
    "slept": (
        ["car"],
        ["hotel", "flight", "car", "-flight", "-hotel"],
        ["hotel", "flight", "car", "taxi"],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", ["by policy", "by hand"])
def test_what_was_undone_is_done_again(house: House, case: str, how: str) -> None:
    """And only that: what was finished outside of the saga stays so."""
    at_first, until_it_fails, again = CASES[case]
    flow = case.partition(",")[0]
    broken.update(at_first)
    if how == "by hand":
        run_id = house.enqueue(ONCE[flow])
        assert "failed" == ended(house, run_id)
        assert until_it_fails == told()
        assert "completed" == retried(house, run_id)
        assert again == told()
        _shows_what_is_done_again(house, run_id, undone=any(what.startswith("-") for what in until_it_fails))
    else:
        run_id = house.enqueue(RETRIED[flow])
        while len(done) < len(until_it_fails) or run_row(house.journal, run_id).status != "awaiting_retry":
            if house.inbox:
                house.take(house.inbox[0])
            else:
                house.publish(
                    house.journal.timers.queue_due({RETRIED[flow].definition, night_train.definition}, 10)
                )
        assert until_it_fails == told()
        broken.clear()
        assert "completed" == ended(house, run_id)
        assert again == told()
    check_invariants(house.journal.connections.engine)


def _shows_what_is_done_again(house: House, run_id: str, *, undone: bool) -> None:
    """As `run show` prints it."""
    views = house.journal.views
    text = describe(views.get(run_id), views.steps(run_id), {}, views.history(run_id))
    assert "attempt 1 of the workflow failed" in text
    assert undone or "what was undone is done again" not in text


@pytest.mark.parametrize("case", ["trip", "own_error", "nested", "started"])
def test_what_is_done_again_has_a_key_of_its_own(house: House, case: str) -> None:
    """A gateway that knows the key of a charge that was refunded would not charge again."""
    at_first, _, _ = CASES[case]
    broken.update(at_first)
    run_id = house.enqueue(ONCE[case])
    assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    by_effect = dict(zip(keys, done, strict=True))
    repeated = {key: by_effect[key] for key in keys if keys.count(key) > 1}
    assert set(at_first) == set(repeated.values()), (
        "the failed step keeps its key, and no other is used twice"
    )


def test_sagas_may_be_undone_time_and_again(house: House) -> None:
    """Each round goes on from the beginning of the saga, and what is unique is unique in each."""
    drawn: list[str] = []

    def body(run: WorkflowRun) -> str:
        before = str(run.uuid4())
        book.run(run, "insurance")
        with run.saga() as saga:
            drawn.append(str(run.uuid4()))
            saga.add(cancel, book.run(run, "hotel"))
            book.run(run, "car")
        return before

    flow = workflow(name="saga-time-and-again")(body)
    broken.add("car")
    run_id = house.enqueue(flow)
    assert "failed" == ended(house, run_id)
    for _ in range(2):
        house.publish([house.journal.second_chances.retry(run_id)])  # type: ignore[list-item]
        assert "failed" == ended(house, run_id)
    assert "completed" == retried(house, run_id)
    assert ["insurance", *["hotel", "car", "-hotel"] * 3, "hotel", "car"] == told()
    assert len(keys) - 3 == len(set(keys)), "only the failing step, tried four times, keeps its key"
    assert 4 == len(set(drawn))


def compensation_fails(run: WorkflowRun) -> str:
    with run.saga() as saga:
        for name in ("hotel", "flight", "car"):
            saga.add(cancel_thrice, book.run(run, name))
        book.run(run, "taxi")
    return "booked"


unlucky = workflow(name="saga-compensation-fails", retry=Retry.fixed(5, 0.001))(compensation_fails)


def test_failed_compensation_is_left_to_a_human(house: House) -> None:
    """No policy books once more what could not be cancelled; by hand, that is cancelled first, and that alone."""
    broken.update({"taxi", "-flight"})
    run_id = house.enqueue(unlucky)
    assert "failed" == ended(house, run_id)
    assert ["hotel", "flight", "car", "taxi", "-car", *["-flight"] * 3, "-hotel"] == told()
    assert "CompensationFailed" in run_row(house.journal, run_id).error

    assert "failed" == _again(house, run_id), "it is still broken"
    assert ["-flight"] * 3 == told()

    broken.discard("-flight")
    assert "failed" == _again(house, run_id), "the policy goes on, until it gives up"
    assert "taxi is broken" in run_row(house.journal, run_id).error
    one_round = ["hotel", "flight", "car", "taxi", "-car", "-flight", "-hotel"]
    assert ["-flight", *one_round * 2] == told()

    assert "completed" == retried(house, run_id)
    assert ["hotel", "flight", "car", "taxi"] == told()
    check_invariants(house.journal.connections.engine)


def _again(house: House, run_id: str) -> str:
    message = house.journal.second_chances.retry(run_id)
    assert message is not None
    house.publish([message])
    return ended(house, run_id)


@workflow(name="saga-nested-failures")
def nested_failures(run: WorkflowRun) -> str:
    try:
        with run.saga() as outer:
            outer.add(cancel, book.run(run, "hotel"))
            with run.saga() as inner:
                inner.add(cancel, book.run(run, "flight"))
                book.run(run, "car")
    except CompensationFailed as error:
        return "; ".join(name for name, _ in error.failures) + f" after {error.after.partition(' failed')[0]}"
    return "booked"


def test_failures_of_nested_sagas_are_told_together(house: House) -> None:
    """The outer one runs its own, and names those of the inner one too, and the first error."""
    broken.update({"car", "-flight", "-hotel"})
    assert "saga-cancel; saga-cancel after TaskFailed: saga-book" == house.result_of(nested_failures)
    assert ["hotel", "flight", "car", "-flight", "-hotel"] == told()
