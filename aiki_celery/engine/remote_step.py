"""A step that was sent to a queue of its own, in the worker that took it.

It is a run of one step: taken, fenced, retried and recovered as any run is. Its outcome is the run's.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import Task
from aiki_celery.engine.async_tasks.call import TimeIsUp
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.step_runner import Step
from aiki_celery.errors import StepTimeout
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import StepCommitted, StepCommitting, StepTaken
from aiki_celery.model.status import RunStatus, StepStatus

#: Seconds by which a coroutine's time ends later than Celery's soft time limit, so that, where the pool has that, only
#: one of the two ends it.
BEHIND_CELERY = 0.25


class RemoteStep(Step):
    """One pass of a started step.

    Args:
        current: The pass.
        task: The task's definition.
    """

    def __init__(self, current: Pass, task: Task[..., Any]) -> None:
        self._call_facts: dict[str, Any] = from_json(current.claim.call or "{}")
        policy = self._call_facts.get("retry")
        options = StepOptions(retry=None if policy is None else Retry.parse(policy))
        values = task.signature.read(current.claim.input)
        super().__init__(current, task, options, values, self._call_facts["address"])
        # The time of an attempt is counted from when the step was taken, so each is taken anew.
        self._goes_on_here = current.claim.timeout is None
        self.output: str | None = None
        self.error: str | None = None
        if current.hooks:
            current.hooks.emit(StepTaken(*self._facts(current.claim.attempt)))

    def expire(self) -> None:
        """Record the attempt that took too long as failed, and settle the step as the policy says; run nothing.

        Raises:
            RunSuspended: It waits for the next attempt.
            StepError: It has given up.
        """
        self._goes_on_here = False
        failed = self.failed_attempts()
        now = self._pass.clock.now()
        self._failed(self._timeout(), failed, len(failed) + 1, now - (self._pass.claim.timeout or 0))

    def _call(self, attempt: int) -> Any:
        try:
            return super()._call(attempt)
        except TimeIsUp:
            raise self._timeout() from None
        except Exception as error:
            if self._pass.host.is_time_limit(error) and self._pass.claim.timeout is not None:
                raise self._timeout() from error
            raise

    def _seconds_left(self) -> float | None:
        current = self._pass
        if current.claim.timeout is None:
            return None
        used = current.clock.now() - current.claim.now
        return max(0.0, (current.claim.timeout - used) / MICROSECOND) + BEHIND_CELERY

    def _commit(self, status: StepStatus, attempt: int, started_at: int, value: str) -> int:
        current, hooks, failed = self._pass, self._pass.hooks, status is StepStatus.FAILED
        if hooks:
            hooks.emit(StepCommitting(*self._facts(attempt), failed=failed))
        if failed:
            self.error = value
            failure = from_json(value)
            why = f"gave up after attempt {attempt}: {failure['type']}: {failure['message']}"
            current.end(RunStatus.FAILED, error=value, why=why)
        else:
            self.output = value
            current.end(RunStatus.COMPLETED, output=value, why="completed")
        if hooks:
            seconds = (current.clock.now() - started_at) / MICROSECOND
            hooks.emit(StepCommitted(*self._facts(attempt), failed=failed, seconds=seconds))
        return current.claim.parent_seq or 0

    def _timeout(self) -> StepTimeout:
        return StepTimeout(self._task.name, (self._pass.claim.timeout or 0) / MICROSECOND)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt, crash and redelivery of this step; set when it was started."""
        return str(self._call_facts["key"])

    @property
    def run_id(self) -> str:
        """Id of the run whose workflow started it."""
        return str(self._call_facts["run"])

    @property
    def workflow(self) -> str:
        """Name of that workflow."""
        return str(self._call_facts["workflow"])
