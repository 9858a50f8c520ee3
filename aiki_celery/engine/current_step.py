"""The step a task runs in, as the task's code sees it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from aiki_celery.definitions.values import PlainValue
from aiki_celery.engine.current_pass import Pass
from aiki_celery.errors import RunError
from aiki_celery.journal.transactions.step_transaction import StepTransaction

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

logger = logging.getLogger("aiki_celery.step")

_PLAIN = PlainValue()


@dataclass
class CurrentStep:
    """What ``current_step()`` gives inside a task."""

    run_id: str
    workflow: str
    task: str
    idempotency_key: str
    attempt: int
    current: Pass
    transaction: StepTransaction | None = None

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows run and step."""
        facts = {"aiki_run_id": self.run_id, "aiki_workflow": self.workflow, "aiki_step": self.task}
        return logging.LoggerAdapter(logger, facts)

    @property
    def details(self) -> Any:
        """What the last attempt reported by :meth:`heartbeat` before it failed or was interrupted; None if nothing."""
        reported = from_json(self.current.reported or "null")
        # A run has room for the report of one step, the one in flight.
        if not isinstance(reported, dict) or reported.get("key") != self.idempotency_key:
            return None
        return reported["details"]

    @property
    def connection(self) -> Connection:
        """Of a transactional task: the SQLAlchemy connection whose transaction commits with the step's record.

        Raises:
            RunError: The task is not transactional.
        """
        return self._own_transaction("connection").connection

    @property
    def session(self) -> Session:
        """Of a transactional task: an ORM session on that connection, closed after the step.

        Raises:
            RunError: The task is not transactional.
        """
        return self._own_transaction("session").session

    def _own_transaction(self, what: str) -> StepTransaction:
        if self.transaction is None:
            raise RunError(
                f"current_step().{what} is only there in a transactional task: declare it as "
                f"@task(name={self.task!r}, transactional=True), or use a connection of your own."
            )
        return self.transaction

    def heartbeat(self, details: Any = None) -> None:
        """Report progress: plain JSON, kept for the next attempt, which finds it in :attr:`details`.

        One small statement; call it as often as you would want to lose that much work at most. It may be called from
        any thread of the task's.

        Raises:
            RunCancelled: The run that the step is a part of is being cancelled: it may end early, without a result.
            ClaimLost: The step was taken away from this process; what it does now cannot be recorded.
            NotJournalable: The details have no JSON form.
            PayloadTooLarge: They are too large.
            RunError: The task is transactional.
        """
        if self.transaction is not None:
            raise RunError(
                f"{self.task!r} is transactional: what it has done so far is undone if it is interrupted, so there "
                "is no progress to keep. Do long work in a task that is not, and write its outcome in one that is."
            )
        text = _PLAIN.write(
            {"key": self.idempotency_key, "details": details}, self.task, "the heartbeat's details"
        )
        self.current.check_size(text, self.task, "the heartbeat's details")
        self.current.report(text)
