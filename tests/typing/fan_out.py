"""What is known of steps and children that are started: futures, and the ways to wait for them."""

from __future__ import annotations

from decimal import Decimal

from typing_extensions import assert_type

from aiki_celery import StepFuture, WorkflowRun
from tests.typing.definitions import Payment, Receipt, bare, charge, note, order


def futures(run: WorkflowRun) -> None:
    """A start takes what the task takes; its future knows what the task gives."""
    future = charge.start(run, "o", Decimal(1), currency="USD")
    assert_type(future, StepFuture[Payment])
    assert_type(future.result(), Payment)
    assert_type(future.id, str | None)
    assert_type(
        charge.options(queue="cards", priority=3, timeout=60).start(run, "o", Decimal(1)).result(), Payment
    )
    charge.start(run, 1, Decimal(1))  # type: ignore[arg-type]
    charge.start(run, "o")  # type: ignore[call-arg]
    charge.start("o", Decimal(1))  # type: ignore[arg-type, call-arg]
    charge.options(timeout="soon")  # type: ignore[arg-type]


def waits(run: WorkflowRun) -> None:
    """Futures of one type give a list of it; the first of them is a future of it."""
    one, other = charge.start(run, "a", Decimal(1)), charge.start(run, "b", Decimal(2))
    assert_type(run.gather(one, other), list[Payment])
    assert_type(run.gather(*[note.start(run, text) for text in ("a", "b")]), list[str | None])
    assert_type(run.gather(one, other, return_exceptions=True), list[Payment | Exception])
    assert_type(run.first(one, other), StepFuture[Payment])
    assert_type(run.first(one, other).result(), Payment)
    run.gather([one, other])  # type: ignore[call-overload]
    run.gather(charge)  # type: ignore[call-overload]


def maps(run: WorkflowRun) -> None:
    """The items are what the task takes."""
    assert_type(run.map(note, ["a", "b"], max_concurrency=3), list[str | None])
    run.map(note, [1, 2])  # type: ignore[arg-type]
    run.map(charge, ["a", "b"])  # type: ignore[arg-type]
    run.map(note, ["a"], max_concurrency="3")  # type: ignore[arg-type]


def children(run: WorkflowRun) -> None:
    """A child takes what its workflow takes after the run, and gives what that gives."""
    assert_type(order.run(run, "o", Decimal(1)), Receipt)
    assert_type(order.start(run, "o"), StepFuture[Receipt])
    assert_type(order.options(reference_id="r", on_parent_close="abandon").run(run, "o"), Receipt)
    assert_type(run.gather(*[bare.start(run, count) for count in range(3)]), list[str])
    order.run(run, 1)  # type: ignore[arg-type]
    order.start(run)  # type: ignore[call-arg]
    order.options(on_parent_close="terminate")  # type: ignore[arg-type]
