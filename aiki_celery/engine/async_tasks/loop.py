"""An event loop in a thread of its own, on which the coroutines of async tasks run."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading

from aiki_celery.engine.async_tasks.call import LEFTOVER_GRACE, AsyncCall, make_task
from aiki_celery.engine.async_tasks.native_thread import NativeThread, new_signal

logger = logging.getLogger("aiki_celery.step")


class LoopGivenUp(BaseException):
    """Raised in code that blocks an event loop for which nobody waits any more."""


class TaskLoop:
    """An event loop that runs until it is retired and the last call on it is over.

    The code on it is the user's. If that stops the loop, it goes on. If that blocks it, who waits has to give it up.

    Raises:
        RuntimeError: It could not be made; the cause says why.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self._calls: set[AsyncCall] = set()
        self._lock = threading.Lock()
        self._is_retired = False
        self._is_ending = False
        self.over = new_signal()
        self._made = new_signal()
        self._refused: BaseException | None = None
        self._thread = NativeThread(self._run, "aiki-event-loop")
        self._made.wait()
        if self._refused is not None:
            raise RuntimeError(
                f"no event loop could be made for async tasks: {self._refused}"
            ) from self._refused

    @property
    def is_this_thread(self) -> bool:
        """Whether the code that asks runs on this loop, and so must not wait for it."""
        return self._thread.is_current

    def submit(self, call: AsyncCall) -> None:
        """Let the loop begin a call, in the context of the code that submits it.

        Raises:
            RuntimeError: The loop is closed.
        """
        with self._lock:
            self._calls.add(call)
        self._loop.call_soon_threadsafe(self._begin, call, context=contextvars.copy_context())

    def cancel(self, call: AsyncCall) -> None:
        """Ask the loop to cancel a call."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call.cancel)

    def retire(self) -> None:
        """Take no more calls, and end when those that are left are over or were given up."""
        self._is_retired = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave_if_idle)

    def lose_calls(self) -> None:
        """Tell everybody who waits for this loop that it stands still."""
        with self._lock:
            lost = [call for call in self._calls if not call.is_given_up]
        for call in lost:
            call.lose()

    def break_up(self) -> None:
        """Interrupt the code that blocks this loop, if that is Python's to interrupt; the loop ends then."""
        self._thread.interrupt(LoopGivenUp)

    def _begin(self, call: AsyncCall) -> None:
        if self._is_ending:
            return  # who waits for it hears when the loop is over, and takes it to another one
        coroutine = call.take(self)
        if coroutine is not None:
            call.begin(self._loop, coroutine, self._leave_if_idle)
            return
        with self._lock:
            self._calls.discard(call)  # taken back
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        with self._lock:
            self._calls = {call for call in self._calls if not (call.done.is_set() or call.is_given_up)}
            if self._is_ending or not self._is_retired or self._calls:
                return
        self._is_ending = True
        self._loop.stop()

    def _run(self) -> None:
        try:
            # In this thread: what a loop watches under gevent belongs to the thread that made it.
            self._loop = asyncio.new_event_loop()
        except BaseException as error:
            self._refused = error
            return
        finally:
            self._made.set()
        try:
            self._loop.set_task_factory(make_task)
            asyncio.set_event_loop(self._loop)
            while not self._is_ending and not self._loop.is_closed():
                self._go_on()
            self._end()
        except BaseException:
            logger.exception("The event loop of async tasks has ended; the next step gets a new one.")
        finally:
            self.over.set()
            self.lose_calls()

    def _go_on(self) -> None:
        """Run until the loop is stopped: by us, by the code of a step, or by what a task of that has raised."""
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error("A task on the event loop raised %r; the loop goes on.", error)
            return
        except LoopGivenUp:
            self._is_ending = True
            return
        if not self._is_ending:
            logger.warning("The code of a step has stopped the event loop of async tasks; it goes on.")

    def _end(self) -> None:
        """Cancel what is left, and close."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=LEFTOVER_GRACE))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
