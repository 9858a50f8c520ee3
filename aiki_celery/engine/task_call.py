"""Calls a task's function, whether it is a ``def`` or an ``async def``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import CoroutineType
from typing import Any

from aiki_celery.definitions.task import Task
from aiki_celery.engine.async_tasks.call import LoopLost
from aiki_celery.engine.async_tasks.calls import Watch, async_calls
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.exits import EXITS, refuse_exit
from aiki_celery.errors import ClaimLost, JournalError, OutcomeUnknown, RunCancelled
from aiki_celery.journal.asked import CANCEL, ControlAsked

logger = logging.getLogger("aiki_celery.step")


def call_task(
    current: Pass,
    task: Task[..., Any],
    idempotency_key: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    seconds: float | None,
) -> Any:
    """Call a task's function; what it gives is awaited on the process's event loop, if it is a coroutine.

    It is called again when another step has taken the loop down meanwhile: that is no failure of this one, as a crash
    is none.

    Args:
        current: The pass.
        task: The task.
        idempotency_key: The step's.
        args: Positional arguments.
        kwargs: Keyword arguments.
        seconds: Longest time a coroutine may take.

    Raises:
        TimeIsUp: The coroutine took longer, and was cancelled.
        RunCancelled: The run is being cancelled; so was the coroutine.
        ClaimLost: The run was taken over; the coroutine was cancelled.
        OutcomeUnknown: Another step has taken the loop down, and the task is at-most-once.
        Exception: What the function raised.
    """
    while True:
        try:
            value = task.function(*args, **kwargs)
        except EXITS as error:
            refuse_exit(current.host, f"task {task.name!r}", error)
            raise
        if not isinstance(value, CoroutineType):
            return value
        try:
            watch = Watch(lambda: _look(current), current.settings.heartbeat_interval)
            return async_calls.run(value, task.name, seconds, watch)
        except LoopLost:
            if task.settings.at_most_once:
                raise OutcomeUnknown(task.name, idempotency_key) from None
            logger.warning(
                "Step %s was interrupted: another step blocked the event loop. It begins anew.", task.name
            )


def _look(current: Pass) -> None:
    """While a coroutine is awaited: look whether it is of any use still. A pause lets it end first."""
    try:
        current.journal.look()
    except ControlAsked as asked:
        if asked.control == CANCEL:
            raise RunCancelled("the step's run is being cancelled") from None
    except ClaimLost as lost:
        current.refused(lost)
    except JournalError as error:
        logger.warning("Run %s: could not be looked at while a step runs: %s", current.claim.run_id, error)
