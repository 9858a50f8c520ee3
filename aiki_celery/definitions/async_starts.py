"""A workflow's starts, for async code: the same as the others, awaited."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from aiki_celery.definitions.handle import WorkflowHandle
from aiki_celery.definitions.in_thread import in_thread

P = ParamSpec("P")
R = TypeVar("R")


class AsyncStarts(Generic[P, R]):
    """What a :class:`~aiki_celery.Workflow` has for code on an asyncio event loop."""

    if TYPE_CHECKING:

        @abstractmethod
        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
            """Start a run."""

        @abstractmethod
        def enqueue_many(self, calls: Iterable[Sequence[Any]]) -> list[WorkflowHandle[R]]:
            """Start many runs at once."""

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Do what ``enqueue`` does, for async code.

        A caller that is cancelled meanwhile does not know whether the run was started; with a ``reference_id`` it can
        simply start it again.
        """
        return await in_thread(self.enqueue, *args, **kwargs)

    async def aenqueue_many(self, calls: Iterable[Sequence[Any]]) -> list[WorkflowHandle[R]]:
        """Do what ``enqueue_many`` does, for async code."""
        return await in_thread(self.enqueue_many, calls)
