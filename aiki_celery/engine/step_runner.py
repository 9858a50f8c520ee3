"""A durable step, top to bottom: recorded already? else run it, record its outcome, retry it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

from aiki_celery.definitions.current import step_scope
from aiki_celery.engine.current_step import CurrentStep
from aiki_celery.engine.failures import read_failure, write_failure
from aiki_celery.engine.put_aside import FailedStep
from aiki_celery.engine.recorded_step import RecordedStep
from aiki_celery.engine.retrying import ResultRefused, delay_after, is_result_refused
from aiki_celery.engine.task_call import call_task
from aiki_celery.errors import OutcomeUnknown, RunCancelled
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import (
    AttemptCommitted,
    AttemptCommitting,
    StepStarting,
)
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import RunStatus, StepKind, StepStatus

logger = logging.getLogger("aiki_celery.step")


class Step(RecordedStep):
    """One call of a task by a workflow, and how it is run."""

    def raise_recorded(self, recorded: StepRecord) -> NoReturn:
        """Raise what a recorded failure raises."""
        self._first_seq, self._made_at = self._pass.record.first_seq(recorded), recorded.seq
        self._raise(recorded.value or "{}", recorded.seq)

    def run(self) -> Any:
        """Run attempt after attempt until one is final, and record each."""
        current = self._pass
        current.flush()
        current.cancel_here(self._address)
        notes = current.record.take_notes(self._address)
        failed = _attempts(notes)
        self._first_seq = notes[0].seq if notes else current.record.last_seq + 1
        if not self._input:
            self.check_input()
        if len(notes) > len(failed):
            self._made_at = notes[-1].seq
            self._give_up(OutcomeUnknown(self._task.name, self.idempotency_key), 1, current.clock.now())
        if failed:
            self._wait_until(failed[-1].due_at or 0, "awaiting the next attempt of")
        while True:
            current.let_go_if_asked()
            current.cancel_here(self._address)
            # Each has a record; that one which may run at most once has begun is another.
            current.check_room(2 if self._task.settings.at_most_once else 1)
            attempt = len(failed) + 1
            if current.hooks:
                current.hooks.emit(StepStarting(*self._facts(attempt)))
            started_at = current.clock.now()
            begun: StepRecord | None = None
            if self._task.settings.at_most_once:
                begun = self._note(StepKind.START, StepStatus.STARTED, attempt, started_at, None, None)
                current.write(begun, is_done=False)
                current.cancel_here(self._address)
            try:
                result, value = self._attempt(attempt, failed, started_at)
            except RunCancelled:
                # From a heartbeat: the task has ended early, and has no outcome.
                current.look()
                if begun is not None:
                    current.record.keep_note(begun)
                current.cancel_here(self._address)
                raise
            except Exception as error:
                failed.append(self._failed(error, failed, attempt, started_at))
                continue
            self._commit(StepStatus.COMPLETED, attempt, started_at, result)
            return value

    def _attempt(self, attempt: int, failed: Sequence[StepRecord], started_at: int) -> tuple[str, Any]:
        """Call the task; give its result as JSON text, and as a replay will see it."""
        current = self._pass
        value = self._call(attempt)
        if is_result_refused(self._policy, value, failed, started_at, current.clock.now()):
            raise ResultRefused(value)
        result, value = self._task.signature.write_result(value)
        current.check_size(result, self._task.name, "the result")
        return result, value

    def failed_attempts(self) -> list[StepRecord]:
        """Give the failed attempts that are recorded, of a step that is not run any more."""
        return _attempts(self._pass.record.take_notes(self._address))

    def _call(self, attempt: int) -> Any:
        """Call the user's function as the current step."""
        step = CurrentStep(
            *(self.run_id, self.workflow, self._task.name, self.idempotency_key, attempt),
            *(self._pass, self._transaction),
        )
        args, kwargs = self._task.signature.call_form(self._values)
        self._pass.busy_with = self._task.name
        try:
            with step_scope(step):
                key, seconds = step.idempotency_key, self._seconds_left()
                return call_task(self._pass, self._task, key, args, kwargs, seconds)
        finally:
            self._pass.busy_with = None

    def _seconds_left(self) -> float | None:
        """Give the time that is left for a coroutine; an inline step has no limit of its own."""
        return None

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
            current.cancel_here(self._address)
        current.write(note)
        current.cancel_here(self._address)
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
            current.cancel_here(self._address)
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


def _attempts(notes: Sequence[StepRecord]) -> list[StepRecord]:
    return [note for note in notes if note.kind is StepKind.ATTEMPT]
