"""A handle of one run: what the caller keeps of a started workflow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json

from aiki_celery.definitions.async_handle import AsyncHandle
from aiki_celery.definitions.controls import Controls
from aiki_celery.definitions.current import Runtime
from aiki_celery.definitions.registry import registry
from aiki_celery.errors import WorkflowCancelled, WorkflowFailed
from aiki_celery.model.progress import Progress, read_progress
from aiki_celery.model.records import RunView, Transition
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.definitions.event import Event
    from aiki_celery.definitions.options import Joinable
    from aiki_celery.definitions.workflow import Workflow

R = TypeVar("R")
T = TypeVar("T")


class WorkflowHandle(AsyncHandle[R], Controls):
    """A run, seen from outside. Cheap to make and to throw away; the run does not depend on it.

    Each verb that asks the journal has a twin for async code, its name with an ``a`` before it.

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

    def get(self, timeout: timedelta | float | None = None) -> R:
        """Wait until the run is over and give its result.

        Args:
            timeout: How long to wait at most, a ``timedelta`` or seconds; None waits for ever.

        Raises:
            WorkflowFailed: The run failed.
            WorkflowCancelled: The run was cancelled.
            TimeoutError: It was not over in time; the message says what it is doing.
        """
        return self.result_of(self._runtime.wait(self.id, timeout))

    def result_of(self, run: RunView) -> R:
        """Give the result of the run as it was read when it was over.

        Raises:
            WorkflowFailed: The run failed.
            WorkflowCancelled: The run was cancelled.
        """
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

    def send(
        self,
        event: Event[T],
        payload: T,
        *,
        id: str | None = None,
        session: Joinable | None = None,
    ) -> bool:
        """Send an event to the run. It is in the run's inbox when this returns, whatever the run is doing.

        Args:
            event: The event.
            payload: What is sent; it must fit the event's type.
            id: Your own name for it, under which the run counts it once: a webhook's that may come again, say. Like a
                reference id, up to 200 printable characters without a space at the end.
            session: An SQLAlchemy session or connection on the journal's database, in whose transaction it is sent.

        Returns:
            Whether it counts; False if one with this id had come before.

        Raises:
            InputInvalid: The payload or the id does not fit; nothing was sent.
            RunNotFound: The journal does not know the run (yet, when it was started by ``delay``).
            RunFinished: The run is over.
            EventLimitExceeded: It has received ``aiki_max_events`` already.
        """
        return self._runtime.sender.send(self.id, self._workflow.name, event, payload, id, session)

    @property
    def progress(self) -> Progress | None:
        """How far the run has come, as its code last said by ``run.progress(...)``; None if it has said nothing.

        Raises:
            RunNotFound: The journal does not know it.
        """
        return read_progress(self.refresh().progress_note)

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

    def fork(
        self,
        from_step: int | str | None = None,
        *,
        version: str | None = None,
        reference_id: str | None = None,
    ) -> WorkflowHandle[R]:
        """Make a new run that begins with what this one has recorded, and goes on by itself from there.

        This one is left as it is, whatever its state. The new one has its input and finds its finished steps; what it
        does anew has idempotency keys of its own. What this one has started and is not over is waited for by both.

        Args:
            from_step: What is recorded from here on is left out: a place, as ``run show`` lists them, or the name of a
                step, whose first record is meant. By default, of a failed run the step that failed, of a cancelled one
                its clean-up, and of any other nothing.
            version: Another version of the workflow, as in ``"1.1.0"``.
            reference_id: Your own name for the new run.

        Raises:
            RunNotFound: The journal does not know this one (yet, when it was started by ``delay``).
            InputInvalid: There is no such step or version, or the input does not fit it; nothing was written.
            ReferenceConflict: The reference id is taken; nothing was written.
        """
        run_id, forked = self._runtime.fork(self.id, from_step, version, reference_id)
        workflow = registry.workflow(self._workflow.name, forked) or self._workflow
        return WorkflowHandle(run_id, workflow, self._runtime)

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self._workflow.definition} {self.id}>"
