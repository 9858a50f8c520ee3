"""A task: an ordinary function that a workflow runs as a journaled step."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from aiki_celery.definitions.current import Run
from aiki_celery.definitions.declared import declared_retry
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.given_run import method_of
from aiki_celery.definitions.naming import check_function, check_name
from aiki_celery.definitions.options import StepOptions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.signature import Signature
from aiki_celery.definitions.task_settings import (
    TaskSettings,
    check_transactional,
    checked_input_key,
    checked_options,
    declared_errors,
)
from aiki_celery.errors import DefinitionInvalid, InputInvalid

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")


#: What a Celery user may look for on a task.
_CELERYS_OWN = frozenset({"apply", "apply_async", "delay", "s", "si", "signature", "subtask"})


class Task(Generic[P, R]):
    """A task definition. Called, it is the plain function; ``run(run, ...)`` makes it a step.

    Args:
        function: The user's function.
        settings: What ``@task`` was given.
    """

    def __init__(
        self, function: Callable[P, R], settings: TaskSettings, options: StepOptions | None = None
    ) -> None:
        self.function = function
        self.settings = settings
        self.step_options = options or StepOptions()
        self.signature = Signature(function, settings.name)
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        """Name the task is journaled by."""
        return self.settings.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function: no journal, no retries."""
        return self.function(*args, **kwargs)

    def run(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task here and now as a step, or give its recorded outcome.

        Returns:
            The result, as a replay will see it.

        Raises:
            InputInvalid: The arguments do not fit; nothing was run or written.
            TaskFailed: The task gave up with an error that is not in ``raises=``.
            OutcomeUnknown: The task is at-most-once and was interrupted.
            NonDeterminismError: The code no longer fits the run's record.
        """
        result: R = method_of(run, "perform", self.name)(self, args, kwargs, self.step_options)
        return result

    def start(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> StepFuture[R]:
        """Send the task to its Celery queue as a step of its own, or give the future of its recorded start.

        Starts are recorded together, and their messages sent, when the workflow next waits, runs an inline step
        or ends.

        Returns:
            A future; ``future.result()`` waits for it, ``run.gather(...)`` for many.

        Raises:
            InputInvalid: The arguments do not fit; nothing was sent or written.
            NonDeterminismError: The code no longer fits the run's record.
        """
        future: StepFuture[R] = method_of(run, "launch", self.name)(self, args, kwargs, self.step_options)
        return future

    def options(
        self,
        *,
        key: str | None = None,
        retry: Retry | Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        timeout: timedelta | float | None = None,
    ) -> Self:
        """Give a copy with step options set; see :class:`~aiki_celery.definitions.options.StepOptions`.

        Raises:
            InputInvalid: An option has a value that cannot be used.
        """
        if retry is not None and self.settings.at_most_once:
            raise InputInvalid(self.name, "retry", "an at-most-once task is never retried")
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.step_options = self.step_options.updated(
            self.name, key=key, retry=retry, queue=queue, priority=priority, timeout=timeout
        )
        return copy

    def __getattr__(self, name: str) -> Any:
        if name in _CELERYS_OWN:
            raise AttributeError(
                f"{self.settings.name!r} is a task of workflows and has no {name!r}: start it from one, with "
                f".run(run, ...) or .start(run, ...). A Celery task is made with @app.task; a workflow can start it "
                "as it is, with run.start(task.s(...))."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


class AsyncTask(Task[P, R]):
    """The definition of a task that is an ``async def``. A step of it is run on an event loop kept for the process."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        """Call the plain function, which gives the coroutine: no journal, no retries, the caller's event loop."""
        coroutine: Coroutine[Any, Any, R] = self.function(*args, **kwargs)  # type: ignore[assignment]
        return coroutine


class TaskDecorator(Protocol):
    """What ``@task(...)`` gives: makes a ``def`` a :class:`Task`, and an ``async def`` an :class:`AsyncTask`."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    retry: Retry | Mapping[str, Any] | None = None,
    raises: Sequence[type[Exception]] = (),
    input_key: Callable[..., str] | None = None,
    at_most_once: bool = False,
    queue: str | None = None,
    timeout: timedelta | float | None = None,
    transactional: bool = False,
) -> TaskDecorator: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | Mapping[str, Any] | None = None,
    raises: Sequence[type[Exception]] = (),
    input_key: Callable[..., str] | None = None,
    at_most_once: bool = False,
    queue: str | None = None,
    timeout: timedelta | float | None = None,
    transactional: bool = False,
) -> Any:
    """Make a function a task. An ``async def`` is run on an event loop that is kept for the process.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: Name it is journaled by; defaults to the function's. Renaming a task changes the address of its steps.
        retry: What happens when it raises; defaults to :meth:`Retry.never`.
        raises: Exceptions that reach the workflow as themselves; any other arrives as ``TaskFailed``. They are rebuilt
            from their ``args``, which must have a JSON form.
        input_key: Takes the task's arguments and gives the text its step is known by, for inputs that vary from pass
            to pass (a presigned URL, say).
        at_most_once: Journal the start before the body; after a crash the workflow gets ``OutcomeUnknown``.
        queue: Celery queue the task is sent to by ``start``; defaults to Celery's own routing of its name.
        timeout: Longest time of one attempt of a started step, a ``timedelta`` or seconds. The attempt that takes
            longer fails with :class:`~aiki_celery.errors.StepTimeout`, and the retry policy decides.
        transactional: Run the body in a transaction of the journal's database, :attr:`current_step().connection` or
            ``.session``, which commits together with the step's record: what it writes there happens exactly once.

    Raises:
        DefinitionInvalid: Something about the definition cannot work; says what.
    """

    def decorate(body: Callable[..., Any]) -> Task[..., Any]:
        chosen = check_name("task", name or getattr(body, "__name__", None))
        check_function("task", chosen, body)
        settings = TaskSettings(
            chosen,
            declared_retry("task", chosen, retry),
            declared_errors(chosen, raises),
            checked_input_key(chosen, input_key),
            at_most_once,
            *checked_options(chosen, queue, timeout),
            transactional,
        )
        if transactional:
            check_transactional(chosen, body, at_most_once=at_most_once)
        if at_most_once and retry is not None:
            raise DefinitionInvalid(f"task {chosen!r}: at_most_once and retry exclude each other")
        kind = AsyncTask if inspect.iscoroutinefunction(body) else Task
        definition: Task[..., Any] = kind(body, settings)
        registry.add_task(definition)
        return definition

    return decorate(function) if function is not None else decorate
