"""What is known of control: what each verb takes and gives."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from typing_extensions import assert_type

from aiki_celery import RunCancelled, RunFinished, WorkflowRun, WrongState, workflow
from tests.typing.definitions import order


def controls(placed: str) -> None:
    """The verbs of a handle."""
    handle = order.options(deadline=timedelta(hours=1)).enqueue(placed)
    assert_type(handle.cancel(), bool)
    assert_type(handle.cancel("the weather", force=True), bool)
    assert_type(handle.pause(), bool)
    assert_type(handle.resume(), bool)
    handle.wake()
    handle.cancel(3)  # type: ignore[arg-type]
    order.options(deadline=datetime.now(timezone.utc))
    order.options(deadline="soon")  # type: ignore[arg-type]


async def controls_awaited(placed: str) -> None:
    """Their twins for async code."""
    handle = order.enqueue(placed)
    assert_type(await handle.acancel("the weather"), bool)
    assert_type(await handle.apause(), bool)
    assert_type(await handle.aresume(), bool)
    await handle.awake()


@workflow(name="typing-napping", deadline=60)
def napping(run: WorkflowRun) -> str:
    """A sleep tells whether it was ended by hand."""
    try:
        assert_type(run.sleep(1), bool)
        assert_type(run.sleep_until(datetime.now(timezone.utc)), bool)
    except RunCancelled as cancelled:
        assert_type(cancelled.reason, str)
        raise
    return "awake"


def is_told(error: RunFinished | WrongState) -> tuple[str, str]:
    """What the errors name."""
    return error.run_id, error.status
