"""What is known of runs that go on as new, of progress, and of forks."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from typing_extensions import assert_type

from aiki_celery import Progress, WorkflowHandle, WorkflowRun
from tests.typing.definitions import Receipt, order


def anew(run: WorkflowRun, number: int) -> int:
    """Nothing comes after it, so no result is missing."""
    assert_type(run.generation, int)
    run.progress(number, 10, "half")
    run.progress(0.5)
    run.progress("half")  # type: ignore[arg-type]
    run.continue_as_new(number + 1)


def outside(handle: WorkflowHandle[Receipt]) -> None:
    """A fork has the type of the run it was made from."""
    assert_type(order.enqueue("o", Decimal(1)).fork(), WorkflowHandle[Receipt])
    assert_type(handle.fork("charge", version="1.1.0", reference_id="r").get(), Receipt)
    assert_type(handle.fork(from_step=3), WorkflowHandle[Receipt])
    handle.fork(from_step=1.5)  # type: ignore[arg-type]
    assert_type(handle.progress, Progress | None)
    if (progress := handle.progress) is not None:
        assert_type(progress.fraction, float | None)
        assert_type(progress.at, datetime)
