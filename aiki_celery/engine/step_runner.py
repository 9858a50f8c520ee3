"""A durable step, top to bottom: recorded already? else run it, record its outcome, retry it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from aiki_celery.definitions.current import step_scope
from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import Task
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.current_step import CurrentStep
from aiki_celery.engine.failures import read_failure, write_failure
from aiki_celery.engine.replay import FailedStep
from aiki_celery.engine.retrying import ResultRefused, delay_after, is_result_refused
from aiki_celery.errors import OutcomeUnknown
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import (
    AttemptCommitted,
    AttemptCommitting,
    StepCommitted,
    StepCommitting,
    StepStarting,
)
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus

logger = logging.getLogger("aiki_celery.step")


class Step:
    """One call of a task by a workflow.

    Args:
        current: The pass it belongs to.
        task: The task's definition.
        options: Options of this call.
        values: The arguments by name, validated.
        address: Where its outcome is recorded.
    """

    def __init__(
        self,
        current: Pass,
        task: Task[..., Any],
        options: StepOptions,
        values: Mapping[str, Any],
        address: str,
    ) -> None:
        self._pass = current
        self._task = task
        self._policy: Retry = options.retry or task.settings.retry
        self._values = values
        self._address = address
        self._ordinal = current.record.calls_of(address) - 1
        self._goes_on_here = True
        self._first_seq = 0
        self._input = ""

    def raise_recorded(self, recorded: StepRecord) -> NoReturn:
        """Raise what a recorded failure raises."""
        self._first_seq = self._pass.record.first_seq(recorded)
        self._raise(recorded.value or "{}", recorded.seq)

    def run(self) -> Any:
        """Run attempt after attempt until one is final, and record each."""
        current = self._pass
        current.flush()
        notes, failed = current.record.notes(self._address), self.failed_attempts()
        self._first_seq = notes[0].seq if notes else current.record.last_seq + 1
        current.check_room()
        # Written before the call: the task may change what it is given.
        self._input = self._task.signature.write(self._values)
        current.check_size(self._input, self._task.name, "the input")
        if len(notes) > len(failed):
            self._give_up(OutcomeUnknown(self._task.name, self.idempotency_key), 1, current.clock.now())
        if failed:
            self._wait_until(failed[-1].due_at or 0, "awaiting the next attempt of")
        while True:
            current.let_go_if_asked()
            attempt = len(failed) + 1
            if current.hooks:
                current.hooks.emit(StepStarting(*self._facts(attempt)))
            started_at = current.clock.now()
            if self._task.settings.at_most_once:
                self._write(StepKind.START, StepStatus.STARTED, attempt, started_at, None)
            try:
                value = self._call(attempt)
                if is_result_refused(self._policy, value, failed, started_at, current.clock.now()):
                    raise ResultRefused(value)
                result, value = self._task.signature.write_result(value)
                current.check_size(result, self._task.name, "the result")
            except Exception as error:
                failed.append(self._failed(error, failed, attempt, started_at))
                continue
            self._commit(StepStatus.COMPLETED, attempt, started_at, result)
            return value

    def failed_attempts(self) -> list[StepRecord]:
        """Give the failed attempts that are recorded."""
        return [note for note in self._pass.record.notes(self._address) if note.kind is StepKind.ATTEMPT]

    def _call(self, attempt: int) -> Any:
        """Call the user's function as the current step."""
        step = CurrentStep(
            self.run_id, self.workflow, self._task.name, self.idempotency_key, attempt, self._pass
        )
        args, kwargs = self._task.signature.call_form(self._values)
        self._pass.busy_with = self._task.name
        try:
            with step_scope(step):
                return self._task.function(*args, **kwargs)
        finally:
            self._pass.busy_with = None

    def _failed(
        self, error: Exception, failed: Sequence[StepRecord], attempt: int, started_at: int
    ) -> StepRecord:
        """Record a failed attempt and wait for the next one, or give up."""
        current = self._pass
        if current.over is not None:
            raise current.over
        now = current.clock.now()
        delay = delay_after(self._policy, error, failed, started_at, now)
        if delay is None:
            self._give_up(error, attempt, started_at)
        if current.hooks:
            current.hooks.emit(AttemptCommitting(*self._facts(attempt), delay=delay))
        due_at = now + int(delay * MICROSECOND)
        note = self._note(
            StepKind.ATTEMPT, StepStatus.FAILED, attempt, started_at, write_failure(error, attempt), due_at
        )
        if delay > current.settings.inline_wait or not self._goes_on_here:
            why = f"{self._task.name} failed ({type(error).__qualname__}), attempt {attempt + 1} in {delay:.3g} s"
            current.park(RunStatus.AWAITING_RETRY, due_at, why, (note,))
        current.write(note)
        if current.hooks:
            current.hooks.emit(AttemptCommitted(*self._facts(attempt), delay=delay))
        logger.info(
            "run %s: %s attempt %d failed, retry in %.3g s",
            current.claim.run_id,
            self._task.name,
            attempt,
            delay,
        )
        current.clock.sleep(delay)
        return note

    def _wait_until(self, due_at: int, why: str) -> None:
        """Wait for what is left of a delay that was drawn before the run was interrupted."""
        current = self._pass
        left = (due_at - current.clock.now()) / MICROSECOND
        if left > current.settings.inline_wait:
            current.park(RunStatus.AWAITING_RETRY, due_at, f"{why} {self._task.name}")
        if left > 0:
            current.clock.sleep(left)

    def _give_up(self, error: Exception, attempt: int, started_at: int) -> NoReturn:
        """Record the step as failed and raise what a replay will raise."""
        failure = write_failure(error, attempt, self._task.settings.raises)
        seq = self._commit(StepStatus.FAILED, attempt, started_at, failure)
        self._raise(failure, seq, error)

    def _raise(self, failure: str, seq: int, cause: Exception | None = None) -> NoReturn:
        raised = read_failure(failure, self._task.name, self._task.settings.raises, self.idempotency_key)
        self._pass.failed.append(FailedStep(raised, min(self._first_seq or seq, seq)))
        if cause is None or isinstance(cause, OutcomeUnknown):
            raise raised
        raise raised from cause

    def _commit(self, status: StepStatus, attempt: int, started_at: int, value: str) -> int:
        hooks, failed = self._pass.hooks, status is StepStatus.FAILED
        if hooks:
            hooks.emit(StepCommitting(*self._facts(attempt), failed=failed))
        step = self._write(StepKind.TASK, status, attempt, started_at, value)
        if hooks:
            seconds = (step.finished_at - started_at) / MICROSECOND
            hooks.emit(StepCommitted(*self._facts(attempt), failed=failed, seconds=seconds))
        return step.seq

    def _write(
        self, kind: StepKind, status: StepStatus, attempt: int, started_at: int, value: str | None
    ) -> StepRecord:
        step = self._note(kind, status, attempt, started_at, value, None)
        self._pass.write(step)
        return step

    def _note(
        self,
        kind: StepKind,
        status: StepStatus,
        attempt: int,
        started_at: int,
        value: str | None,
        due_at: int | None,
    ) -> StepRecord:
        current = self._pass
        return StepRecord(
            seq=current.next_seq(),
            kind=kind,
            name=self._task.name,
            address=self._address,
            status=status,
            attempt=attempt,
            epoch=current.claim.epoch,
            started_at=started_at,
            finished_at=current.clock.now(),
            input=self._input if kind is not StepKind.ATTEMPT else None,
            value=value,
            due_at=due_at,
        )

    @property
    def idempotency_key(self) -> str:
        """Stable over every retry, crash and redelivery: the run, the address, and which call of that address it is."""
        return f"{self._pass.claim.run_id}:{self._address}:{self._ordinal}"

    @property
    def run_id(self) -> str:
        """Id of the run the step belongs to."""
        return self._pass.claim.run_id

    @property
    def workflow(self) -> str:
        """Name of its workflow."""
        return self._pass.claim.workflow

    def _facts(self, attempt: int) -> tuple[str, str, str, str, int]:
        return self.run_id, self.workflow, self._task.name, self._address, attempt
