"""The step a task runs in, as the task's code sees it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

logger = logging.getLogger("aiki_celery.step")


@dataclass
class CurrentStep:
    """What ``current_step()`` gives inside a task."""

    run_id: str
    workflow: str
    task: str
    idempotency_key: str
    attempt: int

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows run and step."""
        facts = {"aiki_run_id": self.run_id, "aiki_workflow": self.workflow, "aiki_step": self.task}
        return logging.LoggerAdapter(logger, facts)
