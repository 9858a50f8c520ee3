"""A handle of one run: what the caller keeps of a started workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic_core import from_json

from aiki_celery.definitions.current import Runtime
from aiki_celery.errors import WorkflowCancelled, WorkflowFailed
from aiki_celery.model.records import RunView, Transition
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.definitions.workflow import Workflow

R = TypeVar("R")


class WorkflowHandle(Generic[R]):
    """A run, seen from outside. Cheap to make and to throw away; the run does not depend on it.

    Args:
        run_id: Id of the run, which is also its Celery task id.
        workflow: Its definition, which knows the type of the result.
        runtime: The extension it was started with.
    """

    def __init__(self, run_id: str, workflow: Workflow[..., R], runtime: Runtime) -> None:
        self.id = run_id
        self._workflow = workflow
        self._runtime = runtime

    @property
    def status(self) -> RunStatus:
        """The run's state, read from the journal now.

        Raises:
            RunNotFound: The journal does not know it (yet, when it was started by ``delay``).
        """
        return self.refresh().status

    def refresh(self) -> RunView:
        """Read the run from the journal.

        Raises:
            RunNotFound: The journal does not know it.
        """
        return self._runtime.view(self.id)

    def get(self, timeout: float | None = None) -> R:
        """Wait until the run is over and give its result.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            WorkflowFailed: The run failed.
            WorkflowCancelled: The run was cancelled.
            TimeoutError: It was not over in time; the message says what it is doing.
        """
        run = self._runtime.wait(self.id, timeout)
        if run.status is RunStatus.COMPLETED:
            assert run.output is not None
            result: R = self._workflow.signature.read_result(run.output)
            return result
        if run.status is RunStatus.CANCELLED:
            raise WorkflowCancelled(run.workflow, run.id, run.reason or "")
        error: dict[str, Any] = from_json(run.error or "{}")
        raise WorkflowFailed(
            run.workflow, run.id, error.get("type", ""), error.get("message", ""), error.get("traceback", "")
        )

    def history(self) -> list[Transition]:
        """Give the run's transitions, oldest first: each state it entered, when, and why."""
        return self._runtime.history(self.id)

    def requeue(self) -> None:
        """Queue a stalled run again, after what stalled it was mended.

        Raises:
            RunNotFound: The journal does not know it.
            RunError: It is not stalled.
        """
        self._runtime.requeue(self.id)

    def retry(self) -> None:
        """Queue a failed run again, to go on from the step that failed; what it has finished is not done again.

        For when the cause was mended after the run had failed for good. It counts as one more attempt of the workflow.

        Raises:
            RunNotFound: The journal does not know it.
            RunError: It has not failed, or another run has started it and has had its outcome.
        """
        self._runtime.retry(self.id)

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self._workflow.definition} {self.id}>"
