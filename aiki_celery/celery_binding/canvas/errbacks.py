"""A chord whose header has failed: the error callbacks of its body are called, as Celery would have done."""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.exceptions import ChordError

from aiki_celery.engine.canvas.steps import TELL_ERRBACKS
from aiki_celery.errors import TaskFailed


class TellErrbacks(Task):
    """The task by which a canvas has them called: a step like its others, so it is done, and done again if need be."""

    name = TELL_ERRBACKS
    ignore_result = True

    def run(self, body: dict[str, Any], task: str, kind: str, message: str) -> None:
        """Call the error callbacks of a chord's body.

        Args:
            body: The body.
            task: Name of the task of the header that failed.
            kind: Name of its exception.
            message: The exception's message.
        """
        error = ChordError(f"Dependency {task} raised {kind}({message!r})")
        error.__cause__ = TaskFailed(task, kind, message, 1)
        self.backend.chord_error_from_stack(self.app.signature(body), error)
