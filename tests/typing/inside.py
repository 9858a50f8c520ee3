"""What is known inside a workflow: steps, the run, the current step."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from typing_extensions import assert_type

from aiki_celery import WorkflowRun, current_step
from tests.typing.definitions import Payment, charge, note


def steps(run: WorkflowRun) -> None:
    """A step takes what its task takes, and gives what it gives."""
    assert_type(charge.run(run, "o", Decimal(1)), Payment)
    assert_type(charge.run(run, order_id="o", amount=Decimal(1), currency="USD"), Payment)
    assert_type(charge.options(key="k").run(run, "o", Decimal(1)), Payment)
    assert_type(note.run(run, "x"), str | None)
    charge.run(run, "o", 1.5)  # type: ignore[arg-type]
    charge.run(run, "o")  # type: ignore[call-arg]
    charge.run(run, "o", Decimal(1), "USD")  # type: ignore[call-arg]
    charge.run(run, "o", Decimal(1), curency="USD")  # type: ignore[call-arg]
    charge.run("o", Decimal(1))  # type: ignore[arg-type, call-arg]


def the_run(run: WorkflowRun) -> None:
    """The run's own values."""
    assert_type(run.id, str)
    assert_type(run.attempt, int)
    assert_type(run.reference_id, str | None)
    assert_type(run.now(), datetime)
    assert_type(run.uuid4(), UUID)
    assert_type(run.random(), float)
    assert_type(run.is_replaying, bool)
    run.sleep("a while")  # type: ignore[arg-type]


def the_step() -> None:
    """What a task may ask."""
    assert_type(current_step().idempotency_key, str)
    assert_type(current_step().attempt, int)
