"""The run as the workflow's code sees it: its first argument."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, overload

from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.options import StartOptions, StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.adopting import adopt
from aiki_celery.engine.children import launch_child
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.inline_step import perform
from aiki_celery.engine.joining import first, gather
from aiki_celery.engine.launching import launch, launch_all
from aiki_celery.engine.run_log import ReplayAwareLog
from aiki_celery.engine.waiting import sleep_for, sleep_until
from aiki_celery.errors import InputInvalid
from aiki_celery.model.clock import from_datetime, to_datetime, to_seconds
from aiki_celery.model.records import StepRecord
from aiki_celery.model.status import StepKind, StepStatus

T = TypeVar("T")
R = TypeVar("R")


class WorkflowRun:
    """A run, for the workflow's code: waits, time, randomness and logging that survive a replay.

    Args:
        current: The pass of the run.
    """

    def __init__(self, current: Pass) -> None:
        self._pass = current
        self._draws = {"uuid4": 0, "random": 0}
        self.log = ReplayAwareLog(self.id, self.name, current.record)

    @property
    def id(self) -> str:
        """Id of the run, which is also its Celery task id."""
        return self._pass.claim.run_id

    @property
    def name(self) -> str:
        """Name of the workflow."""
        return self._pass.claim.workflow

    @property
    def version(self) -> str:
        """Version the run started with."""
        return self._pass.claim.version

    @property
    def reference_id(self) -> str | None:
        """The caller's own name for the run, if it gave one."""
        return self._pass.claim.reference_id

    @property
    def attempt(self) -> int:
        """Which attempt of the whole workflow this is, counting from 1. A crash costs none."""
        return self._pass.claim.attempt

    @property
    def is_replaying(self) -> bool:
        """Whether the code is still within what was recorded by an earlier pass."""
        return self._pass.record.is_replaying

    def sleep(self, duration: timedelta | float, *, name: str = "sleep") -> None:
        """Wait for a ``timedelta`` or seconds. Frees the worker; survives restarts; costs nothing while it lasts.

        If the code later asks for another duration while this sleep lasts, the time already slept is credited.

        Args:
            duration: How long; zero goes on at once.
            name: Tells this sleep from others; sleeps of one name are matched in order.

        Raises:
            InputInvalid: The duration is negative or not a number.
        """
        self._pass.check()
        sleep_for(self._pass, name, self._converted("duration", to_seconds, duration))

    def sleep_until(self, moment: datetime, *, name: str = "sleep") -> None:
        """Wait until an instant, an aware ``datetime``; see :meth:`sleep`.

        Raises:
            InputInvalid: The ``datetime`` has no time zone.
        """
        self._pass.check()
        sleep_until(self._pass, name, self._converted("moment", from_datetime, moment))

    def now(self) -> datetime:
        """Give the current instant as an aware UTC ``datetime``: the same on every replay. Costs one write."""
        current = self._pass
        current.check()
        recorded = current.record.take_fact("now")
        if recorded is not None:
            return to_datetime(recorded.started_at)
        instant = current.clock.now()
        current.write(
            StepRecord(
                seq=current.next_seq(),
                kind=StepKind.NOW,
                name="now",
                address="now",
                status=StepStatus.COMPLETED,
                attempt=1,
                epoch=current.claim.epoch,
                started_at=instant,
                finished_at=instant,
            )
        )
        return to_datetime(instant)

    def uuid4(self) -> uuid.UUID:
        """Give a random UUID: the same on every replay. Derived from the run's id; costs no write."""
        return uuid.UUID(bytes=self._draw("uuid4"), version=4)

    def random(self) -> float:
        """Give a random number from 0 up to but not including 1: the same on every replay. Costs no write."""
        return (int.from_bytes(self._draw("random")[:8], "big") >> 11) / (1 << 53)

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

    def _draw(self, kind: str) -> bytes:
        self._pass.check()
        self._draws[kind] += 1
        seed = f"{self.id}/{kind}/{self._draws[kind]}".encode()
        return hashlib.blake2b(seed, digest_size=16).digest()

    def _converted(self, argument: str, convert: Any, value: Any) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputInvalid(self.name, argument, str(error)) from error

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.name}@{self.version} {self.id}>"
