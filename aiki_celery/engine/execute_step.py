"""One pass of a started step: run it, and settle it in the journal."""

from __future__ import annotations

from typing import Any

from aiki_celery.definitions.task import Task
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.failures import in_a_line, write_failure
from aiki_celery.engine.outcome import Outcome, over, release
from aiki_celery.engine.remote_step import RemoteStep
from aiki_celery.engine.transactional_step import remote_step_kind
from aiki_celery.errors import ClaimLost, RunSuspended
from aiki_celery.model.status import RunStatus


def run_step(current: Pass, task: Task[..., Any], *, is_expired: bool) -> Outcome:
    """Run a started step until it has an outcome or waits for its next attempt.

    Args:
        current: The pass.
        task: Its definition.
        is_expired: Whether the time of an attempt is over, which is to be recorded; nothing is run.
    """
    step: RemoteStep | None = None
    try:
        step = remote_step_kind(task)(current, task)
        if is_expired:
            step.expire()
        else:
            step.run()
    except (RunSuspended, ClaimLost):
        return over(current)
    except Exception as error:
        if current.over is not None:
            return over(current)
        if step is None or step.error is None:
            return _unreadable(current, error)
        return Outcome(RunStatus.FAILED, error=step.error, exception=error)
    except BaseException:
        if current.over is None and current.host.is_ending:
            release(current)
        raise
    return Outcome(RunStatus.COMPLETED, output=step.output)


def _unreadable(current: Pass, error: Exception) -> Outcome:
    """Fail a started step that this code cannot run: its input does not fit the task any more, say."""
    failure = write_failure(error, 1)
    try:
        current.end(RunStatus.FAILED, error=failure, why=in_a_line(error))
    except ClaimLost:
        return over(current)
    return Outcome(RunStatus.FAILED, error=failure, exception=error)
