"""What is current: the extension a definition speaks to, and the step a task runs in.

Definitions belong to no application, so that a module of workflows can be imported anywhere. What they need of the rest
of the package is written here as protocols; the extension and the engine fulfil them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from aiki_celery.errors import NotInitialized
from aiki_celery.model.records import RunView, Transition

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from aiki_celery.definitions.options import StartOptions, StepOptions
    from aiki_celery.definitions.sending import SendOutcome


class EventSender(Protocol):
    """What sends events to runs."""

    def send(
        self,
        run_id: str,
        workflow: str,
        event: Any,
        payload: Any,
        event_id: str | None,
        session: Any = None,
    ) -> bool:
        """Send an event to a run; tell whether it counts."""

    def send_many(
        self, workflow: str, event: Any, payload: Any, reference_ids: Sequence[str], event_id: str | None
    ) -> list[SendOutcome]:
        """Send an event to the runs of a workflow that have these reference ids."""

    def exchange(self, event: Any, token: str, payload: Any) -> str:
        """Send an event to the run that gave a token out, and give that run's id."""


class RunController(Protocol):
    """What asks things of runs."""

    def cancel(self, run_id: str, reason: str = "", *, force: bool = False, session: Any = None) -> bool:
        """Cancel a run; tell whether it had not been cancelled before."""

    def pause(self, run_id: str) -> bool:
        """Pause a run; tell whether it had not been paused before."""

    def resume(self, run_id: str) -> bool:
        """Let a paused run go on; tell whether it was paused."""

    def wake(self, run_id: str) -> None:
        """End a run's sleep."""


class Runtime(Protocol):
    """What a workflow definition and a run's handle need of the extension."""

    @property
    def controller(self) -> RunController:
        """What asks things of runs."""

    @property
    def sender(self) -> EventSender:
        """What sends events to runs."""

    def enqueue(
        self, workflow: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StartOptions
    ) -> str:
        """Journal a run, send its message, give its id."""

    def enqueue_many(self, workflow: Any, calls: Sequence[Sequence[Any]], options: StartOptions) -> list[str]:
        """Journal many runs in one statement, send their messages, give their ids in order."""

    def celery_task(self, workflow: Any) -> Any:
        """Give the Celery task a workflow was compiled into."""

    def view(self, run_id: str) -> RunView:
        """Give a run as it is now."""

    def wait(self, run_id: str, timeout: timedelta | float | None) -> RunView:
        """Wait until a run is over."""

    def history(self, run_id: str) -> list[Transition]:
        """Give a run's transitions."""

    def requeue(self, run_id: str) -> None:
        """Queue a stalled run again."""

    def retry(self, run_id: str) -> None:
        """Queue a failed run again, to go on from what failed."""

    def fork(
        self, run_id: str, from_step: int | str | None, version: str | None, reference_id: str | None
    ) -> tuple[str, str]:
        """Make a run from a part of another one's record, and give its id and version."""


class Run(Protocol):
    """What a task definition needs of a workflow's run."""

    def perform(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StepOptions) -> Any:
        """Run a task as an inline step, or give its recorded outcome."""

    def launch(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StepOptions) -> Any:
        """Send a task to its queue as a step, or give the future of its recorded start."""

    def launch_child(
        self, workflow: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StartOptions
    ) -> Any:
        """Start a child workflow, or give the future of a recorded one."""

    def start(self, signature: Any) -> Any:
        """Send an existing Celery task as a step, or give the future of its recorded start."""

    def result_of(self, future: Any) -> Any:
        """Wait for something that was started."""


class StepContext(Protocol):
    """The step a task runs in."""

    @property
    def run_id(self) -> str:
        """Id of the run the step belongs to."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt, crash and redelivery of this step; unique to it. Hand it to payment gateways."""

    @property
    def attempt(self) -> int:
        """Which attempt this is, counting from 1."""

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows run and step."""

    @property
    def details(self) -> Any:
        """What the last attempt reported by :meth:`heartbeat` before it failed or was interrupted; None if nothing."""

    @property
    def connection(self) -> Connection:
        """Of a transactional task: the SQLAlchemy connection whose transaction commits with the step's record.

        Raises:
            RunError: The task is not transactional.
        """

    @property
    def session(self) -> Session:
        """Of a transactional task: an ORM session on that connection, closed after the step.

        Raises:
            RunError: The task is not transactional.
        """

    def heartbeat(self, details: Any = None) -> None:
        """Report progress: plain JSON, kept for the next attempt, which finds it in :attr:`details`.

        Raises:
            RunCancelled: The run that the step is a part of is being cancelled: it may end early, without a result.
            ClaimLost: The step was taken away from this process; what it does now cannot be recorded.
            NotJournalable: The details have no JSON form.
        """


_step: ContextVar[StepContext | None] = ContextVar("aiki_step", default=None)
_scoped: ContextVar[Runtime | None] = ContextVar("aiki_runtime", default=None)
_default: list[Runtime] = []


def current_step() -> StepContext:
    """Give the step this code runs in.

    Raises:
        NotInitialized: The code was not called as a step of a run, but as a plain function.
    """
    step = _step.get()
    if step is None:
        raise NotInitialized(
            "current_step() is only there while a workflow runs a task as a step: a workflow calls task.run(run, ...), "
            "not task(...). In a unit test that calls the task as a plain function, pass what it needs as an argument, "
            "or run it in a workflow with .apply()."
        )
    return step


class step_scope:
    """Make a step current for the code inside. A class, because a generator would cost each step three times as much.

    Args:
        step: The step.
    """

    __slots__ = ("_step", "_token")

    def __init__(self, step: StepContext) -> None:
        self._step = step

    def __enter__(self) -> None:
        self._token = _step.set(self._step)

    def __exit__(self, *_: object) -> None:
        _step.reset(self._token)


def current_runtime() -> Runtime:
    """Give the extension that definitions speak to: the innermost ``with aiki:``, else the one made last.

    Raises:
        NotInitialized: There is none.
    """
    scoped = _scoped.get()
    if scoped is not None:
        return scoped
    if not _default:
        raise NotInitialized(
            "No Aiki extension is active. Make one where the Celery app is made: aiki = Aiki(app); "
            "and import that module before starting runs."
        )
    return _default[-1]


def set_default_runtime(runtime: Runtime) -> None:
    """Make an extension the one that definitions speak to by default."""
    _default[:] = [runtime]


@contextmanager
def runtime_scope(runtime: Runtime) -> Iterator[None]:
    """Make an extension current for the code inside."""
    token = _scoped.set(runtime)
    try:
        yield
    finally:
        _scoped.reset(token)
