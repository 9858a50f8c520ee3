"""Writes the end of a started Celery task to the journal, from what somebody else tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from aiki_celery.definitions.adopted import PlainResult
from aiki_celery.engine.failures import write_failure
from aiki_celery.errors import PayloadTooLarge, ValueRejected
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

#: The error of a task whose worker could only say that it failed.
UNKNOWN = "it failed in a worker without aiki_celery, which does not tell the error; see that worker's log"


def settle_with(binding: Binding, run_id: str, name: str, value: Any, attempt: int, *, failed: bool) -> bool:
    """Settle a run with a result, or as failed without saying why; tell whether there was one to settle.

    Args:
        binding: The application and its journal.
        run_id: The run.
        name: Name of the Celery task.
        value: Its result.
        attempt: Which of Celery's tries it was, counting from 1.
        failed: Whether it failed.
    """
    if failed:
        facts = {"type": "Failure", "message": UNKNOWN, "traceback": "", "attempts": attempt, "args": None}
        return settle(binding, run_id, RunStatus.FAILED, error=to_json(facts).decode(), why=UNKNOWN)
    try:
        output = written(binding, name, value)
    except ValueRejected as error:
        failure = write_failure(error, attempt)
        return settle(binding, run_id, RunStatus.FAILED, error=failure, why=str(error))
    return settle(binding, run_id, RunStatus.COMPLETED, output=output, why="completed, as its worker told")


def settle(
    binding: Binding,
    run_id: str,
    status: RunStatus,
    *,
    output: str | None = None,
    error: str | None = None,
    why: str,
) -> bool:
    """Settle a run whoever holds it, and let its parent go on; tell whether there was one to settle."""
    woken = binding.journal.adoptions.settle(run_id, status, output=output, error=error, why=why)
    if woken:
        binding.starter.publish(woken)
    return woken is not None


def written(binding: Binding, name: str, value: Any) -> str:
    """Write a Celery task's result as JSON text.

    Raises:
        NotJournalable: It has no JSON form.
        PayloadTooLarge: It is too large.
    """
    text, limit = PlainResult(name).write_result(value), binding.settings.max_payload
    size = len(text.encode())
    if size > limit:
        raise PayloadTooLarge(name, "the result", size, limit)
    return text
