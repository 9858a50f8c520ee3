"""One call of a coroutine, between the thread that waits for it and the event loop that runs it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

from aiki_celery import errors
from aiki_celery.engine.async_tasks.native_thread import new_signal
from aiki_celery.engine.exits import told_exit

if TYPE_CHECKING:
    from aiki_celery.engine.async_tasks.loop import TaskLoop

logger = logging.getLogger("aiki_celery.step")

#: Seconds that a step's left-over tasks have for their clean-up.
LEFTOVER_GRACE = 0.5

#: The call that the code on an event loop belongs to.
_call: ContextVar[AsyncCall | None] = ContextVar("aiki_async_call", default=None)


class LoopLost(Exception):
    """The event loop under a call is gone or stands still, through no fault of this call."""


class TimeIsUp(Exception):
    """A call has taken longer than it may."""


class AsyncCall:
    """A call of a coroutine.

    Args:
        coroutine: What is awaited.
        name: Name of the task, for messages.

    Attributes:
        done: Set when there is an outcome, or never will be.
        home: The loop that has begun it.
        is_cancelling: Whether its loop has heard that it is to be cancelled.
        is_given_up: Whether nobody waits for it any more.
        tasks: Every asyncio task that its code has made, and that still exists.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        # Empty once somebody has taken it.
        self._ticket = [coroutine]
        self._lock = threading.Lock()
        self.name = name
        self.done = new_signal()
        self.home: TaskLoop | None = None
        self.is_cancelling = False
        self.is_given_up = False
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._task: asyncio.Task[Any] | None = None
        self._is_lost = False
        self._value: Any = None
        self._error: BaseException | None = None

    def take(self, home: TaskLoop | None = None) -> Coroutine[Any, Any, Any] | None:
        """Give the coroutine to the first who asks: the loop that begins it, or the caller who takes it back."""
        with self._lock:
            if not self._ticket:
                return None
            self.home = home
            return self._ticket.pop()

    def put_back(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Let another loop begin what was taken back."""
        self.done.clear()
        self.is_given_up = self._is_lost = False
        self._ticket.append(coroutine)

    def begin(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        ended: Callable[[], None],
    ) -> None:
        """Begin it, on the loop's thread and in the caller's context; ``ended`` is called there when it is over."""
        _call.set(self)
        self._task = loop.create_task(self._lead(coroutine), name=self.name)

        def end(_: object) -> None:
            self._end(coroutine)
            ended()

        self._task.add_done_callback(end)

    def cancel(self) -> None:
        """Cancel it, on the loop's thread."""
        self.is_cancelling = True
        if self._task is not None:
            self._task.cancel()

    def lose(self) -> None:
        """Tell the caller that there will be no outcome."""
        if not self.done.is_set():
            self.is_given_up = self._is_lost = True
            self.done.set()

    @property
    def was_cancelled(self) -> bool:
        """Whether it is over because it was cancelled."""
        return not self._is_lost and isinstance(self._error, asyncio.CancelledError)

    def result(self) -> Any:
        """Give what the coroutine returned, or raise what it raised.

        Raises:
            LoopLost: The loop is gone.
            RuntimeError: The coroutine ended with something that would end a process, or cancelled itself.
            Exception: What the coroutine raised.
        """
        error = self._error
        if self._is_lost:
            # Whatever became of it since: nobody has waited for that.
            raise LoopLost(f"{self.name}: its event loop is gone")
        if error is None:
            return self._value
        if isinstance(error, Exception) or type(error).__module__ == errors.__name__:
            raise error
        what = f"the coroutine of {self.name!r}"
        raise RuntimeError(
            f"{what} was cancelled by its own code"
            if self.was_cancelled
            else told_exit(what, error, "where a coroutine raises it")
        ) from error

    async def _lead(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        # A SystemExit that left an asyncio task would end the loop.
        try:
            self._value = await coroutine
        except BaseException as error:
            self._error = error
        left = [task for task in self.tasks if task is not self._task and not task.done()]
        if left:
            await self._cancel_leftovers(left)

    async def _cancel_leftovers(self, left: list[asyncio.Task[Any]]) -> None:
        names = ", ".join(task.get_name() for task in left)
        logger.warning(
            "Step %s is over and has left %d task(s) running; cancelled: %s", self.name, len(left), names
        )
        for task in left:
            task.cancel()
        _, stubborn = await asyncio.wait(left, timeout=LEFTOVER_GRACE)
        if stubborn:
            logger.error("Step %s: %d task(s) do not let themselves be cancelled.", self.name, len(stubborn))

    def _end(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            # Cancelled before it ran a line.
            coroutine.close()
            self._error = asyncio.CancelledError()
        if not self._is_lost:
            self.done.set()


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make an asyncio task and note which call made it; a loop's task factory."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    context: Context | None = options.get("context")
    call = _call.get() if context is None else context.get(_call)
    if call is not None:
        call.tasks.add(task)
    return task
