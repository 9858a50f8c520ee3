"""The step a task runs in, as the task's code sees it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.values import PlainValue
from aiki_celery.engine.current_pass import Pass

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

    def heartbeat(self, details: Any = None) -> None:
        """Report progress: plain JSON, kept for the next attempt, which finds it in :attr:`details`.

        One small statement; call it as often as you would want to lose that much work at most. It may be called from
        any thread of the task's.

        Raises:
            ClaimLost: The step was taken away from this process; what it does now cannot be recorded.
            NotJournalable: The details have no JSON form.
            PayloadTooLarge: They are too large.
        """
        text = _PLAIN.write(
            {"key": self.idempotency_key, "details": details}, self.task, "the heartbeat's details"
        )
        self.current.check_size(text, self.task, "the heartbeat's details")
        self.current.report(text)
