"""A workflow: an ordinary function whose finished steps are never run again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from aiki_celery.definitions.async_starts import AsyncStarts
from aiki_celery.definitions.celery_calls import refuse_for_celery
from aiki_celery.definitions.current import Run, current_runtime
from aiki_celery.definitions.declared import declared_queue, declared_retry
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.given_run import check_run_parameter, method_of
from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.naming import check_function, check_name, check_version
from aiki_celery.definitions.options import OnConflict, OnParentClose, StartOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.sending import Recipients
from aiki_celery.definitions.signature import Signature
from aiki_celery.definitions.workflow_settings import WorkflowSettings, check_deadline

if TYPE_CHECKING:
    from aiki_celery.definitions.options import Joinable

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(AsyncStarts[P, R], Recipients):
    """A workflow definition, which is also a Celery task: ``delay``, ``apply_async``, ``s`` and the rest work on it.

    Args:
        function: The user's function; its first parameter is the run.
        settings: What ``@workflow`` was given.
    """

    def __init__(self, function: Callable[..., R], settings: WorkflowSettings) -> None:
        self.function = function
        self.settings = settings
        self._options = StartOptions()
        self.signature = Signature(function, settings.name, skip=1)
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        """Name of the workflow."""
        return self.settings.name

    @property
    def version(self) -> str:
        """Version of this code; a run stays with the version it started with."""
        return self.settings.version

    @property
    def definition(self) -> str:
        """Name and version as one name, which is also the Celery task's."""
        return f"{self.settings.name}@{self.settings.version}"

    def __call__(self, run: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function with a run of your own making."""
        return self.function(run, *args, **kwargs)

    def run(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run this workflow as a child of another's run, and wait for it. Waiting frees the worker.

        Raises:
            InputInvalid: The arguments do not fit; nothing was started.
            WorkflowFailed: The child failed.
            WorkflowCancelled: The child was cancelled.
        """
        return self.start(run, *args, **kwargs).result()

    def start(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> StepFuture[R]:
        """Start this workflow as a child of another's run, or give the future of its recorded start.

        With a ``reference_id`` that a run has already, that run is waited for, and it is nobody's child.

        Raises:
            InputInvalid: The arguments do not fit; nothing was started.
            ReferenceConflict: The reference id is taken by a run with other input.
            NonDeterminismError: The code no longer fits the run's record.
        """
        future: StepFuture[R] = method_of(run, "launch_child", self.name)(self, args, kwargs, self._options)
        return future

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Start a run: journal first, then the message.

        When this returns, the run is in the journal and will be done, even if the broker is down right now.

        Raises:
            InputInvalid: The arguments do not fit; nothing was written.
            NotJournalable: An argument has no JSON form; nothing was written.
            ReferenceConflict: The reference id is taken by a run with other input.
            JournalUnavailable: The journal could not be reached.
        """
        runtime = current_runtime()
        return WorkflowHandle(runtime.enqueue(self, args, kwargs, self._options), self, runtime)

    def enqueue_many(self, calls: Iterable[Sequence[Any]]) -> list[WorkflowHandle[R]]:
        """Start many runs at once: one statement for the journal, one producer for the messages.

        Args:
            calls: Positional arguments of each run, as in ``[(order,) for order in orders]``.

        Raises:
            InputInvalid: Arguments of one of them do not fit; nothing was written.
        """
        runtime = current_runtime()
        ids = runtime.enqueue_many(self, list(calls), self._options)
        return [WorkflowHandle(run_id, self, runtime) for run_id in ids]

    def handle(self, run_id: str) -> WorkflowHandle[R]:
        """Give a handle of a run whose id is known, say from ``AsyncResult.id``."""
        return WorkflowHandle(run_id, self, current_runtime())

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Celery's ``delay``: send a message that carries the arguments; the worker journals the run."""
        return self._celery_task().delay(*args, **kwargs)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Celery's ``apply_async``, with all its options."""
        return self._celery_task().apply_async(args, kwargs, **options)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Celery's ``apply``: run in this process, journaled, without a broker; gives an ``EagerResult``."""
        return self._celery_task().apply(args, kwargs, **options)

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's ``s``: a signature, for ``chain``, ``group`` and ``chord``."""
        return self._celery_task().s(*args, **kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's ``si``: an immutable signature."""
        return self._celery_task().si(*args, **kwargs)

    def options(
        self,
        *,
        reference_id: str | None = None,
        on_conflict: OnConflict | None = None,
        delay: timedelta | float | None = None,
        eta: datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] | None = None,
        key: str | None = None,
        on_parent_close: OnParentClose | None = None,
        deadline: timedelta | float | datetime | None = None,
        session: Joinable | None = None,
    ) -> Workflow[P, R]:
        """Give a copy with start options set; see :meth:`aiki_celery.definitions.options.StartOptions.updated`.

        Raises:
            InputInvalid: An option has a value that cannot be used.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._options = self._options.updated(
            self.name,
            reference_id=reference_id,
            on_conflict=on_conflict,
            delay=delay,
            eta=eta,
            queue=queue,
            priority=priority,
            tags=tags,
            key=key,
            on_parent_close=on_parent_close,
            deadline=deadline,
            session=session,
        )
        return copy

    def _celery_task(self) -> Any:
        refuse_for_celery(self.name, self._options)
        return current_runtime().celery_task(self)

    def __repr__(self) -> str:
        return f"<workflow {self.definition!r}>"


@overload
def workflow(function: Callable[Concatenate[Any, P], R], /) -> Workflow[P, R]: ...


@overload
def workflow(
    *,
    name: str | None = None,
    version: str = "1.0.0",
    retry: Retry | Mapping[str, Any] | None = None,
    queue: str | None = None,
    deadline: timedelta | float | None = None,
) -> Callable[[Callable[Concatenate[Any, P], R]], Workflow[P, R]]: ...


def workflow(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    retry: Retry | Mapping[str, Any] | None = None,
    queue: str | None = None,
    deadline: timedelta | float | None = None,
) -> Any:
    """Make a function a workflow. Its first parameter is the run, a :class:`~aiki_celery.WorkflowRun`.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: Name of the workflow; defaults to the function's.
        version: Version of this code. Several versions may stand side by side.
        retry: What happens when the workflow raises; finished steps are kept, and it goes on from the failed one.
        queue: Celery queue for its messages; defaults to ``aiki_default_queue``, then to Celery's own routing.
        deadline: Time after which a run that is not over is cancelled, counted from when it may start.

    Raises:
        DefinitionInvalid: Something about the definition cannot work; says what.
    """

    def decorate(body: Callable[..., Any]) -> Workflow[..., Any]:
        chosen = check_name("workflow", name or getattr(body, "__name__", None))
        check_function("workflow", chosen, body)
        check_run_parameter(chosen, body)
        settings = WorkflowSettings(
            chosen,
            check_version(chosen, version),
            declared_retry("workflow", chosen, retry),
            declared_queue("workflow", chosen, queue),
            check_deadline(chosen, deadline),
        )
        definition: Workflow[..., Any] = Workflow(body, settings)
        registry.add_workflow(definition)
        return definition

    return decorate(function) if function is not None else decorate
