"""What is known outside: starting runs, and their handles."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from typing_extensions import assert_type

from aiki_celery import RunStatus, WorkflowHandle
from tests.typing.definitions import Receipt, nothing, order


def starts() -> None:
    """A start takes what the workflow takes after the run."""
    assert_type(order.enqueue("o", Decimal(1)), WorkflowHandle[Receipt])
    assert_type(order.enqueue("o"), WorkflowHandle[Receipt])
    assert_type(nothing.enqueue(), WorkflowHandle[None])
    order.enqueue(1)  # type: ignore[arg-type]
    order.enqueue()  # type: ignore[call-arg]
    order.enqueue("o", Decimal(1), True)  # type: ignore[call-arg]
    order.enqueue("o", amuont=Decimal(1))  # type: ignore[call-arg]
    order.delay(1)  # type: ignore[arg-type]


def options() -> None:
    """Options keep the types, and are checked themselves."""
    started = order.options(reference_id="r", delay=60, queue="q", priority=5).enqueue("o")
    assert_type(started, WorkflowHandle[Receipt])
    order.options(reference_id="r").enqueue(1)  # type: ignore[arg-type]
    order.options(on_conflict="ignore")  # type: ignore[arg-type]
    order.options(refernce_id="r")  # type: ignore[call-arg]


def handles() -> None:
    """A handle knows the type of the result."""
    assert_type(order.enqueue("o").get(timeout=3), Receipt)
    assert_type(order.handle("id").get(), Receipt)
    assert_type(order.handle("id").get(timeout=timedelta(seconds=3)), Receipt)
    order.handle("id").get(timeout="3")  # type: ignore[arg-type]
    assert_type(order.enqueue("o").status, RunStatus)
    assert_type([handle.get() for handle in order.enqueue_many([("o",)])], list[Receipt])
    assert order.enqueue("o").get().paymnt  # type: ignore[attr-defined]
