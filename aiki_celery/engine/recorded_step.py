"""What a step is known by, and its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import Task
from aiki_celery.engine.current_pass import Pass
from aiki_celery.journal.transactions.step_transaction import StepTransaction
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import StepCommitted, StepCommitting
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus


def write_input(current: Pass, task: Task[..., Any], values: Mapping[str, Any]) -> str:
    """Write the input of a call as JSON text.

    Raises:
        NotJournalable: It has no JSON form.
        PayloadTooLarge: It is too large.
    """
    text = task.signature.write(values)
    current.check_size(text, task.name, "the input")
    return text


class RecordedStep:
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
        self._ordinal = current.record.ordinal(address)
        self._goes_on_here = True
        self._transaction: StepTransaction | None = None
        self._first_seq = 0
        self._made_at: int | None = None
        self._input = ""

    def check_input(self) -> None:
        """Write the input, before the call: the task may change what it is given.

        Raises:
            PayloadTooLarge: It is too large.
        """
        self._input = write_input(self._pass, self._task, self._values)

    def _commit(self, status: StepStatus, attempt: int, started_at: int, value: str) -> int:
        """Record the outcome, and give its place."""
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
        seq: int | None = None,
    ) -> StepRecord:
        """Make a record, at the next place unless it is given."""
        current = self._pass
        return StepRecord(
            seq=current.next_seq() if seq is None else seq,
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
        return self._pass.name_of_call(self._address, self._ordinal, self._made_at)

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
