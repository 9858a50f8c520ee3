"""What is known of sagas and patches."""

from __future__ import annotations

from decimal import Decimal

from typing_extensions import assert_type

from aiki_celery import CompensationFailed, Saga, WorkflowRun
from tests.typing.definitions import charge, order


def undoes(run: WorkflowRun) -> None:
    """A compensation takes what its task or workflow takes."""
    with run.saga() as saga:
        assert_type(saga, Saga)
        saga.add(charge, "o", Decimal(1))
        saga.add(charge, order_id="o", amount=Decimal(1), currency="USD")
        saga.add(charge.options(key="k"), "o", Decimal(1))
        saga.add(charge, "o", 1.5)  # type: ignore[arg-type]
        saga.add(charge, "o")  # type: ignore[call-arg]
        saga.add(charge, "o", Decimal(1), curency="USD")  # type: ignore[call-arg]
        saga.add(print, "o")  # type: ignore[arg-type]
        saga.compensate()
    saga.add(order, 5)  # type: ignore[arg-type]


def is_reached_after(run: WorkflowRun) -> int:
    """A block does not swallow its error, so what follows is not taken for what comes next."""
    with run.saga():
        return 1


def patches(run: WorkflowRun) -> None:
    """A patch has a name, and an answer."""
    assert_type(run.patched("new"), bool)
    run.patched(5)  # type: ignore[arg-type]


def failed(error: CompensationFailed) -> None:
    """Each failure is a name and a text."""
    assert_type(error.failures, tuple[tuple[str, str], ...])
