"""``run.log``: a logger that knows whether the run replays."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from aiki_celery.engine.replay import Record

logger = logging.getLogger("aiki_celery.workflow")


class ReplayAwareLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that is silent while the run replays, so each line appears once.

    Args:
        run_id: The run.
        workflow: Name of its workflow.
        record: Its record.
    """

    def __init__(self, run_id: str, workflow: str, record: Record) -> None:
        super().__init__(logger, {"aiki_run_id": run_id, "aiki_workflow": workflow})
        self._prefix = f"[{workflow} {run_id}]"
        self._record = record

    def isEnabledFor(self, level: int) -> bool:
        """Tell whether a line of this level would be logged now."""
        return not self._record.is_replaying and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the run's id before the message."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return f"{self._prefix} {msg}", kwargs
