"""A transactional step: its body and the record of its outcome are one transaction of the journal's database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from aiki_celery.definitions.task import Task
from aiki_celery.engine.remote_step import RemoteStep
from aiki_celery.engine.step_runner import Step
from aiki_celery.errors import ClaimLost
from aiki_celery.journal.asked import ControlAsked
from aiki_celery.journal.transactions.step_transaction import StepTransaction
from aiki_celery.journal.transactions.step_writers import Made
from aiki_celery.journal.transactions.transactional import BodyFailed
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import StepCommitted, StepCommitting
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

Body = Callable[[StepTransaction], Made[tuple[str, Any]]]


class InTransaction(Step, ABC):
    """A step whose attempts are transactions. A failed one is recorded as any is, after it was rolled back."""

    def _attempt(self, attempt: int, failed: Sequence[StepRecord], started_at: int) -> tuple[str, Any]:
        """Run the body, perhaps more than once, and commit it with its record."""

        def body(transaction: StepTransaction) -> Made[tuple[str, Any]]:
            self._transaction = transaction
            try:
                outcome = super(InTransaction, self)._attempt(attempt, failed, started_at)
            finally:
                self._transaction = None
            if self._pass.hooks:
                self._pass.hooks.emit(StepCommitting(*self._facts(attempt), failed=False))
            return self._made(attempt, started_at, *outcome)

        made = self._committed(body)
        if self._pass.hooks:
            seconds = (self._pass.clock.now() - started_at) / MICROSECOND
            self._pass.hooks.emit(StepCommitted(*self._facts(attempt), failed=False, seconds=seconds))
        self._pass.seen_at = self._pass.clock.now()
        self._heed(made)
        return made.value

    def _call(self, attempt: int) -> Any:
        value = super()._call(attempt)
        if self._transaction is not None:
            # What the ORM holds back belongs to the attempt, and its errors too.
            self._transaction.flush()
        return value

    def _commit(self, status: StepStatus, attempt: int, started_at: int, value: str) -> int:
        if status is StepStatus.COMPLETED:
            return self._first_seq  # with what the body wrote
        return super()._commit(status, attempt, started_at, value)

    def _heed(self, made: Made[tuple[str, Any]]) -> None:
        """Heed what the run was asked for while the body ran."""

    def _committed(self, body: Body) -> Made[tuple[str, Any]]:
        """Run the body and commit it with its record, or end the pass.

        Raises:
            Exception: The attempt has failed, and nothing was written: what the body raised, or the database.
            ClaimLost: The run was taken over, or it is not known whether it was committed.
        """
        current = self._pass
        try:
            return self._write_with(body)
        except BodyFailed as failed:
            error = failed.error
        except ClaimLost as lost:
            current.refused(lost)
        except BaseException as interrupted:
            why = f"run {current.claim.run_id}: a transaction of {self._task.name} was interrupted: {interrupted!r}"
            current.lose(why, interrupted)
        # Not within the handler: the error keeps the cause that the task has given it.
        raise error

    @abstractmethod
    def _made(self, attempt: int, started_at: int, result: str, value: Any) -> Made[tuple[str, Any]]:
        """Give what is to be recorded."""

    @abstractmethod
    def _write_with(self, body: Body) -> Made[tuple[str, Any]]:
        """Have the journal run the body and write what it has made."""


class TransactionalStep(InTransaction):
    """A transactional step that is run here and now."""

    def _made(self, attempt: int, started_at: int, result: str, value: Any) -> Made[tuple[str, Any]]:
        # The next place, unless the body is undone once more and fails then.
        seq = self._pass.record.last_seq + 1
        record = self._note(StepKind.TASK, StepStatus.COMPLETED, attempt, started_at, result, None, seq)
        return Made((result, value), step=record)

    def _write_with(self, body: Body) -> Made[tuple[str, Any]]:
        made = self._pass.transactional.record(self._pass.claim, body)
        # It is committed, and there was room for it when the attempt began.
        self._pass.record.next_seq()
        return made

    def _heed(self, made: Made[tuple[str, Any]]) -> None:
        if made.step is not None and made.control is not None:
            self._pass.obey(ControlAsked(made.control), (made.step,))


class TransactionalRemoteStep(InTransaction, RemoteStep):
    """A transactional step that was sent to a queue of its own: the end of its run commits with what the body wrote."""

    def _made(self, attempt: int, started_at: int, result: str, value: Any) -> Made[tuple[str, Any]]:
        return Made((result, value), output=result)

    def _write_with(self, body: Body) -> Made[tuple[str, Any]]:
        made = self._pass.transactional.end(self._pass.claim, body)
        self.output = made.output
        if made.woken:
            self._pass.publish(made.woken)
        return made


def step_kind(task: Task[..., Any]) -> type[Step]:
    """Give the class of a task's inline steps."""
    return TransactionalStep if task.settings.transactional else Step


def remote_step_kind(task: Task[..., Any]) -> type[RemoteStep]:
    """Give the class of a task's started steps."""
    return TransactionalRemoteStep if task.settings.transactional else RemoteStep
