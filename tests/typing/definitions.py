"""What the two decorators make of a function's types, and the definitions the other files use."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from typing_extensions import assert_type

from aiki_celery import Retry, Task, Workflow, WorkflowRun, task, workflow


@dataclass
class Payment:
    """A result."""

    id: str


@dataclass
class Receipt:
    """The result of a workflow."""

    payment: Payment
    note: str


@task(name="typing-charge", retry=Retry.fixed(3, 1.0), raises=[ValueError])
def charge(order_id: str, amount: Decimal, *, currency: str = "EUR") -> Payment:
    """A task with options."""
    return Payment(order_id)


@task
def note(text: str) -> str | None:
    """A task without parentheses."""
    return text


@workflow(name="typing-order", version="1.0.0")
def order(run: WorkflowRun, order_id: str, amount: Decimal = Decimal(1)) -> Receipt:
    """A workflow."""
    payment = charge.run(run, order_id, amount)
    assert_type(payment, Payment)
    text = note.run(run, "hello")
    assert_type(text, str | None)
    return Receipt(payment, text or "")


@workflow
def bare(run: WorkflowRun, count: int) -> str:
    """A workflow without parentheses."""
    return "x" * count


assert_type(bare.enqueue(3).get(), str)


@workflow()
def nothing(run: WorkflowRun) -> None:
    """A workflow that takes and gives nothing."""


# A plain call is the plain function.
assert_type(charge("o", Decimal(1), currency="USD"), Payment)
charge("o", 1)  # type: ignore[arg-type]

# Options give the same types again.
keyed = charge.options(key="k", retry={"type": "never"})
assert_type(keyed("o", Decimal(1)), Payment)
charge.options(kee="k")  # type: ignore[call-arg]


def takes_definitions(one: Task[[str], str | None], other: Workflow[[], None]) -> None:
    """Definitions have types that can be named."""


takes_definitions(note, nothing)
takes_definitions(nothing, note)  # type: ignore[arg-type]

# What the decorators take is checked.
task(name=3)  # type: ignore[call-overload]
workflow(version=1)  # type: ignore[call-overload]
Retry.fixed("three", 1)  # type: ignore[arg-type]
