"""What is known of events: what is sent is what is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from typing_extensions import assert_type

from aiki_celery import Event, EventFuture, SendOutcome, StepFuture, WorkflowHandle, WorkflowRun, event
from tests.typing.definitions import Payment, Receipt, charge, order


@dataclass
class Approval:
    """What is sent."""

    by: str


approved = event("typing-approved", Approval)
noted = event("typing-noted")
maybe: Event[Approval | None] = event("typing-maybe", Approval | None)

assert_type(approved, Event[Approval])
assert_type(noted, Event[Any])
event(3)  # type: ignore[call-overload]


def waits(run: WorkflowRun) -> None:
    """A wait gives what is sent with its event."""
    assert_type(run.wait_for(approved), Approval)
    assert_type(run.wait_for(approved, timeout=timedelta(days=2)), Approval)
    assert_type(run.wait_for(maybe, 3.5), Approval | None)
    assert_type(run.expect(approved), EventFuture[Approval])
    assert_type(run.expect(approved).result(), Approval)
    assert_type(run.callback(approved, expires_in=60), str)
    run.wait_for("approved")  # type: ignore[arg-type]
    run.wait_for(approved, timeout="soon")  # type: ignore[arg-type]
    run.callback(approved)  # type: ignore[call-arg]


def beside_steps(run: WorkflowRun) -> None:
    """The future of an event is a future like those of steps."""
    approval, payment = run.expect(approved), charge.start(run, "a", Decimal(1))
    futures: list[StepFuture[Approval | Payment]] = [approval, payment]
    assert_type(run.first(*futures).result(), Approval | Payment)
    assert_type(run.gather(run.expect(approved), run.expect(approved)), list[Approval])


def sends(handle: WorkflowHandle[Receipt]) -> None:
    """What is sent fits the event."""
    assert_type(handle.send(approved, Approval("ann")), bool)
    assert_type(handle.send(approved, Approval("ann"), id="mail-1"), bool)
    assert_type(order.send_many(approved, Approval("ann"), reference_ids=["a", "b"]), list[SendOutcome])
    assert_type(approved.exchange("token", {"by": "ann"}), str)
    handle.send("approved", Approval("ann"))  # type: ignore[arg-type]
    handle.send(approved, "ann")  # type: ignore[misc]
    handle.send(approved, Approval("ann"), "mail-1")  # type: ignore[call-arg]
    order.send_many(approved, Approval("ann"), ["a"])  # type: ignore[call-arg]
