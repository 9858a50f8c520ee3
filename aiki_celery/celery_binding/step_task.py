"""The Celery task that a task's steps are sent as, when a workflow starts them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore

from aiki_celery.celery_binding.message import is_journal_first, unknown_version
from aiki_celery.definitions.registry import registry
from aiki_celery.errors import RunError, TaskFailed
from aiki_celery.model.status import RunKind, RunStatus

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

logger = logging.getLogger("aiki_celery.delivery")


class StepTask(Task):
    """A real Celery task: routed, limited and watched like any other. Its outcome goes to the journal.

    A step is in the journal before its message is sent, so the message is acknowledged as soon as a process has it.
    """

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    typing = False
    serializer = "json"
    Request = "aiki_celery.celery_binding.request:WorkflowRequest"
    aiki_kind = "task"

    #: The application and its journal; set by the compiler.
    binding: Binding
    #: Name of the task; set by the compiler.
    task_name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery's tracer calls.

        Raises:
            Ignore: There is nothing to do: the step is held, waiting, over or unknown.
            Exception: The step gave up; this is its error.
        """
        request = self.request
        if not is_journal_first(vars(request)):
            raise RunError(
                f"{self.name!r} is a task of workflows: start it from one, with {self.name}.run(run, ...) or "
                f"{self.name}.start(run, ...). To call it as a Celery task, make it one with @app.task."
            )
        if unknown_version(vars(request)) is not None:
            raise Ignore
        self._handle(request.id)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery calls where it does not know of ``__call__``."""
        return self(*args, **kwargs)

    def stores_result(self, request: Any) -> bool:
        """Tell whether Celery stores what this request gives: it does not."""
        return False

    def _handle(self, run_id: str) -> None:
        binding = self.binding
        binding.journal.ensure_ready()
        if binding.process.drain.is_up:
            binding.journal.timers.mark_unpublished([run_id])
            raise Ignore
        taken = binding.executor.claim(run_id, binding.process.owner())
        if taken is None:
            logger.debug("Message for step %s: nothing to do; it is held, waiting, over or unknown.", run_id)
            raise Ignore
        claim, steps = taken
        task = registry.task(claim.workflow)
        if task is None or claim.kind is not RunKind.STEP:
            logger.error(
                "Message for run %s was sent to %r, which is no task of its kind.", run_id, self.name
            )
            binding.executor.give_back(claim, f"its message had been sent to {self.name!r}")
            raise Ignore
        outcome = binding.executor.run_step(task, claim, steps, binding.process.host)
        if outcome.status is RunStatus.FAILED and outcome.exception is not None:
            # Celery only logs it, and whoever reads that wants the task's own error.
            cause = outcome.exception.__cause__ if isinstance(outcome.exception, TaskFailed) else None
            raise cause or outcome.exception
        if outcome.status is not RunStatus.COMPLETED:
            raise Ignore
