"""How a Celery task that a workflow has started ends, by whoever holds it: from Celery's states to the journal's."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from celery import states
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from pydantic_core import from_json

from aiki_celery.celery_binding.adopted.replacing import Replaced, go_on_as, replacement
from aiki_celery.celery_binding.adopted.settling import written
from aiki_celery.engine.failures import in_a_line, write_failure
from aiki_celery.engine.ports import Publish
from aiki_celery.errors import ValueRejected
from aiki_celery.model.clock import MICROSECOND
from aiki_celery.model.events import StepCommitted, StepCommitting, StepTaken
from aiki_celery.model.records import Claim
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

#: What Celery's ``Task.replace`` raises, after it has sent another task under the same id.
REPLACED = "Replaced by new task"


class AdoptedEnding:
    """One try of a started Celery task, from its claim to its end.

    Args:
        binding: The application and its journal.
        claim: The claim.
        publish: Sends messages of runs that go on.
    """

    def __init__(self, binding: Binding, claim: Claim, publish: Publish) -> None:
        self._binding = binding
        self._claim = claim
        self._publish = publish
        self._writing = binding.journal.begin_pass(claim)
        if binding.hooks:
            binding.hooks.emit(StepTaken(*self._facts()))

    def settle(self, state: str, value: Any) -> None:
        """Record what Celery says of the task.

        Args:
            state: Celery's state: ``SUCCESS``, ``RETRY``, ``IGNORED``, ``REJECTED`` or ``FAILURE``.
            value: The result, or the exception.

        Raises:
            ClaimLost: The run was taken over, or is over already; nothing was written.
        """
        try:
            if state == states.SUCCESS:
                self._completed(value)
            elif state == states.RETRY:
                self._retried(value)
            elif state == states.IGNORED:
                self._ignored(value)
            elif state == states.REJECTED:
                self._rejected(value)
            else:
                self._failed(value)
        finally:
            self._writing.close()

    def _completed(self, value: Any) -> None:
        try:
            output = written(self._binding, self._claim.workflow, value)
        except ValueRejected as error:
            self._failed(error)
            return
        self._end(RunStatus.COMPLETED, output=output, why="completed")

    def _failed(self, error: BaseException) -> None:
        self._end(RunStatus.FAILED, error=write_failure(error, self._claim.attempt), why=in_a_line(error))

    def _retried(self, retry: Any) -> None:
        """Wait for Celery's own message about the next try; ours is sent only if that is lost."""
        now = self._binding.journal.now()
        wait = _seconds_until(retry.when, now) + self._binding.settings.redelivery_after
        self._await_next(now + int(wait * MICROSECOND), "Celery tries again")

    def _rejected(self, rejected: Any) -> None:
        """Of a try that Celery could not send, see that it is sent; of any other rejected message, do as it says."""
        if rejected.requeue:
            self._writing.hand_over("the task rejected its message, to be delivered again")
        elif isinstance(rejected.reason, OperationalError):
            self._await_next(
                self._binding.journal.now() + MICROSECOND, "the broker did not take the next try"
            )
        else:
            self._failed(rejected)

    def _await_next(self, due_at: int, why: str) -> None:
        attempt = self._claim.attempt
        why = f"attempt {attempt} failed; {why}"
        self._writing.park(RunStatus.AWAITING_RETRY, (), due_at=due_at, why=why, attempt=attempt + 1)

    def _ignored(self, ignored: Ignore) -> None:
        if isinstance(ignored, Replaced):
            self._replaced(ignored.signature)
        elif REPLACED in ignored.args:
            self._binding.journal.adoptions.leave(self._claim, "another task goes on with it")
        else:
            self._end(RunStatus.CANCELLED, why="the task raised Ignore: it has no result")

    def _replaced(self, signature: Any) -> None:
        """Let a canvas go on as this step: its end is the step's."""
        queue = from_json(self._claim.call or "{}").get("answer_to")
        try:
            run = replacement(self._binding, self._claim, signature, queue)
        except ValueRejected as error:
            self._failed(error)
            return
        self._publish([go_on_as(self._binding, self._claim, run)])

    def _end(self, status: RunStatus, **outcome: Any) -> None:
        hooks, failed = self._binding.hooks, status is not RunStatus.COMPLETED
        if hooks:
            hooks.emit(StepCommitting(*self._facts(), failed=failed))
        woken = self._writing.finish(status, **outcome, told=True)
        if hooks:
            seconds = (self._binding.journal.now() - self._claim.now) / MICROSECOND
            hooks.emit(StepCommitted(*self._facts(), failed=failed, seconds=seconds))
        if woken:
            self._publish(woken)

    def _facts(self) -> tuple[str, str, str, str, int]:
        claim, call = self._claim, from_json(self._claim.call or "{}")
        return call["run"], call["workflow"], claim.workflow, call["address"], claim.attempt


def _seconds_until(when: Any, now: int) -> float:
    """Give the seconds until Celery's next try, which says when by an instant or by seconds from now."""
    if isinstance(when, datetime):
        aware = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        return max(0.0, aware.timestamp() - now / MICROSECOND)
    return float(when or 0)
