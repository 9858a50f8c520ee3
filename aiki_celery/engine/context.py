"""The run as the workflow's code sees it: its first argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, TypeVar, overload

from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.options import StartOptions, StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.adopting import adopt
from aiki_celery.engine.children import launch_child
from aiki_celery.engine.inline_step import perform
from aiki_celery.engine.joining import first, gather
from aiki_celery.engine.launching import launch, launch_all
from aiki_celery.engine.progress import tell_progress
from aiki_celery.engine.renewing import continue_as_new
from aiki_celery.engine.run_events import RunEvents
from aiki_celery.engine.saga import Saga
from aiki_celery.engine.waiting import sleep_for, sleep_until
from aiki_celery.model.clock import from_datetime, to_seconds

T = TypeVar("T")
R = TypeVar("R")


class WorkflowRun(RunEvents):
    """A run, for the workflow's code: waits, time, randomness and logging that survive a replay.

    Args:
        current: The pass of the run.
    """

    def sleep(self, duration: timedelta | float, *, name: str = "sleep") -> bool:
        """Wait for a ``timedelta`` or seconds. Frees the worker; survives restarts; costs nothing while it lasts.

        If the code later asks for another duration while this sleep lasts, the time already slept is credited.

        Args:
            duration: How long; zero goes on at once.
            name: Tells this sleep from others; sleeps of one name are matched in order.

        Returns:
            Whether it was ended before its time, by ``handle.wake()``.

        Raises:
            InputInvalid: The duration is negative or not a number.
        """
        self._pass.check()
        return sleep_for(self._pass, name, self._converted("duration", to_seconds, duration))

    def sleep_until(self, moment: datetime, *, name: str = "sleep") -> bool:
        """Wait until an instant, an aware ``datetime``; see :meth:`sleep`.

        Raises:
            InputInvalid: The ``datetime`` has no time zone.
        """
        self._pass.check()
        return sleep_until(self._pass, name, self._converted("moment", from_datetime, moment))

    def saga(self) -> Saga:
        """Give what undoes the steps of a block if that raises, or if the run is cancelled in it.

        ``with run.saga() as saga:``, and after each step ``saga.add(refund, payment.id)``: what undoes it.
        """
        self._pass.check()
        return Saga(self._pass, self, self.log)

    def perform(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], options: StepOptions
    ) -> Any:
        """Run a task as an inline step, or give its recorded outcome; what ``task.run(run, ...)`` calls."""
        self._pass.check()
        return perform(self._pass, self, task, options, args, kwargs)

    def launch(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], options: StepOptions
    ) -> StepFuture[Any]:
        """Send a task to its queue, or give the future of its recorded start; what ``task.start(run, ...)`` calls."""
        self._pass.check()
        return launch(self._pass, self, task, options, args, kwargs)

    def launch_child(
        self,
        workflow: Workflow[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: StartOptions,
    ) -> StepFuture[Any]:
        """Start a child workflow, or give the future of a recorded one; what ``workflow.start(run, ...)`` calls."""
        self._pass.check()
        return launch_child(self._pass, self, workflow, options, args, kwargs)

    def start(self, signature: Mapping[str, Any]) -> StepFuture[Any]:
        """Send an existing Celery task, unchanged, as a step, or give the future of its recorded start.

        The task keeps its own queue, time limits and retries; its result and error come back through the journal.

        Args:
            signature: What ``send_email.s(to)`` gives; ``app.signature("billing.charge", args=...)`` for a task of
                another service. Arguments are plain JSON.

        Returns:
            A future, as ``task.start(run, ...)`` gives; its result is plain JSON.

        Raises:
            InputInvalid: It is no signature of one task, or the arguments do not fit; nothing was sent or written.
            NotJournalable: An argument is no plain JSON.
            NonDeterminismError: The code no longer fits the run's record.
        """
        self._pass.check()
        return adopt(self._pass, self, signature)

    def result_of(self, future: StepFuture[Any]) -> Any:
        """Wait for one future; what ``future.result()`` calls."""
        return self.gather(future)[0]

    @overload
    def gather(self, *futures: StepFuture[R], return_exceptions: Literal[False] = False) -> list[R]: ...

    @overload
    def gather(self, *futures: StepFuture[R], return_exceptions: bool) -> list[R | Exception]: ...

    def gather(self, *futures: StepFuture[Any], return_exceptions: bool = False) -> list[Any]:
        """Wait until all futures are over and give their results, in the order of the futures.

        Waiting frees the worker, and the run is resumed once, when the last of them is over.

        Args:
            *futures: What ``task.start(run, ...)`` gave.
            return_exceptions: Give the exception of one that failed in its place, instead of raising the first.

        Raises:
            TaskFailed: One of them gave up; a declared error is raised as itself. The others are waited for all the
                same, and nothing they did is dropped.
        """
        self._pass.check()
        return gather(self._pass, futures, return_exceptions=return_exceptions)

    def first(self, *futures: StepFuture[R]) -> StepFuture[R]:
        """Wait until one of the futures is over and give that future: the same on every replay.

        The others go on; wait for them later, or leave them. Costs one write.
        """
        self._pass.check()
        return first(self._pass, futures)

    def map(self, task: Task[[T], R], items: Iterable[T], *, max_concurrency: int | None = None) -> list[R]:
        """Start a task once for each item, wait for all, and give the results in the order of the items.

        Args:
            task: A task that takes one argument.
            items: The arguments.
            max_concurrency: Most of them under way at once; all of them by default.

        Raises:
            InputInvalid: An item does not fit; nothing was started.
            TaskFailed: One of them gave up; see :meth:`gather`.
        """
        self._pass.check()
        futures = launch_all(self._pass, self, task, items, max_concurrency)
        return gather(self._pass, futures, return_exceptions=False)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the run has come; ``handle.progress`` and ``run show`` tell it. Silent while replaying.

        One small statement, a few times a second at most: what is said in between is written when the run next waits
        or ends.

        Args:
            done: How much is done, in units of your own.
            total: How much there is to do; None if that is not known.
            message: What is going on, in words.

        Raises:
            InputInvalid: A number is none, is negative or is not finite; or the message is no text.
        """
        self._pass.check()
        tell_progress(self._pass, done, total, message)

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End here and go on as the same run from the top of the function, with these arguments and an empty record.

        For runs that go on for ever, or that would record too much. The run keeps its id, its reference id and whoever
        waits for it; what it has recorded is deleted. Children that end with their parent are cancelled, started steps
        go on, and events that were not consumed stay.

        Args:
            *args: Arguments of the workflow.
            **kwargs: Arguments of the workflow.

        Raises:
            RunSuspended: Always, unless one of the following is raised.
            InputInvalid: The arguments do not fit; nothing was written, and the code may go on.
            NotJournalable: An argument has no JSON form; as above.
            PayloadTooLarge: They are too large; as above.
        """
        self._pass.check()
        continue_as_new(self._pass, args, kwargs)
