"""A handle's verbs, for async code: the same as the others, awaited."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from aiki_celery.definitions.in_thread import in_thread
from aiki_celery.definitions.patience import Patience
from aiki_celery.model.progress import Progress, read_progress
from aiki_celery.model.records import RunView, Transition
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.definitions.event import Event
    from aiki_celery.definitions.handle import WorkflowHandle

R = TypeVar("R")
T = TypeVar("T")


class AsyncHandle(Generic[R]):
    """What a :class:`~aiki_celery.WorkflowHandle` has for code on an asyncio event loop."""

    if TYPE_CHECKING:

        @abstractmethod
        def send(self, event: Event[T], payload: T, *, id: str | None = ...) -> bool:
            """Send an event."""

        @abstractmethod
        def refresh(self) -> RunView:
            """Read the run."""

        @abstractmethod
        def result_of(self, run: RunView) -> R:
            """Give the result of a run that is over."""

        @abstractmethod
        def history(self) -> list[Transition]:
            """Give its transitions."""

        @abstractmethod
        def requeue(self) -> None:
            """Queue it again."""

        @abstractmethod
        def retry(self) -> None:
            """Queue it again."""

        @abstractmethod
        def fork(
            self,
            from_step: int | str | None = ...,
            *,
            version: str | None = ...,
            reference_id: str | None = ...,
        ) -> WorkflowHandle[R]:
            """Make another run of it."""

    async def aget(self, timeout: timedelta | float | None = None) -> R:
        """Do what ``get`` does, for async code. Between two looks at the run, no thread is held."""
        patience = Patience(timeout)
        while not (run := await self.arefresh()).status.is_terminal:
            await asyncio.sleep(patience.pause(run))
        return self.result_of(run)

    async def astatus(self) -> RunStatus:
        """Give the run's state, for async code."""
        return (await self.arefresh()).status

    async def arefresh(self) -> RunView:
        """Do what ``refresh`` does, for async code."""
        return await in_thread(self.refresh)

    async def ahistory(self) -> list[Transition]:
        """Do what ``history`` does, for async code."""
        return await in_thread(self.history)

    async def arequeue(self) -> None:
        """Do what ``requeue`` does, for async code."""
        await in_thread(self.requeue)

    async def aretry(self) -> None:
        """Do what ``retry`` does, for async code."""
        await in_thread(self.retry)

    async def asend(self, event: Event[T], payload: T, *, id: str | None = None) -> bool:
        """Do what ``send`` does, for async code."""
        return await in_thread(self.send, event, payload, id=id)

    async def afork(
        self,
        from_step: int | str | None = None,
        *,
        version: str | None = None,
        reference_id: str | None = None,
    ) -> WorkflowHandle[R]:
        """Do what ``fork`` does, for async code."""
        return await in_thread(self.fork, from_step, version=version, reference_id=reference_id)

    async def aprogress(self) -> Progress | None:
        """Give how far the run has come, for async code."""
        return read_progress((await self.arefresh()).progress_note)
