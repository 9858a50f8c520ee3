"""Awaits the coroutines of async tasks for threads that are not async: workflows, and started steps.

One event loop is kept for the process, made at first use and so after a pool has forked. Clients with connection pools
can be kept on it from step to step. A loop that a step has left unusable is given up, and the next step gets a new one.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aiki_celery.engine.async_tasks.call import AsyncCall, TimeIsUp
from aiki_celery.engine.async_tasks.loop import TaskLoop
from aiki_celery.errors import RunError

logger = logging.getLogger("aiki_celery.step")

#: Seconds that a cancelled coroutine has for its clean-up; after that it is given up, and its loop with it.
CANCEL_GRACE = 1.0

#: A loop that has not begun a call for so many seconds is blocked by another one.
BEGIN_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What a thread does now and then while it waits for a coroutine.

    Attributes:
        look: Does it.
        every: Seconds between two times.
    """

    look: Callable[[], None]
    every: float


class AsyncCalls:
    """The process's event loop, and how it is used."""

    def __init__(self) -> None:
        self._home: TaskLoop | None = None
        self._made: list[TaskLoop] = []
        self._inherited: list[TaskLoop] = []
        self._lock = threading.Lock()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def run(
        self,
        coroutine: Coroutine[Any, Any, Any],
        name: str,
        seconds: float | None = None,
        watch: Watch | None = None,
    ) -> Any:
        """Await a coroutine on the loop, and give what it returns.

        What is raised in the waiting thread meanwhile, such as a soft time limit, cancels the coroutine. If that still
        returns a value, the value counts, as in ``asyncio.wait_for``; unless the process is being ended.

        Args:
            coroutine: The coroutine.
            name: Name of the task, for messages.
            seconds: Longest time it may take.
            watch: What is done now and then meanwhile; what that raises cancels the coroutine too.

        Raises:
            TimeIsUp: It took longer, and was cancelled.
            LoopLost: Another step has blocked or ended the loop; what this one has done so far is not known.
            RuntimeError: It raised what would end a process, or cancelled itself.
            RunError: The calling code runs on the loop itself.
            Exception: What the coroutine raised.
        """
        call = AsyncCall(coroutine, name)
        until = None if seconds is None else time.monotonic() + seconds
        every = None if watch is None else watch.every
        try:
            self._begin(call, until, watch)
            while not call.done.is_set():  # beginning it has taken up to one such wait already
                if until is not None and time.monotonic() >= until:
                    raise TimeIsUp
                if watch is not None:
                    watch.look()
                call.done.wait(_left(until, every))
        except BaseException as interruption:
            self._interrupt(call)
            if call.was_cancelled or not call.done.is_set() or not isinstance(interruption, Exception):
                raise
        return call.result()

    def close(self) -> None:
        """End the loops, as far as they do so within a moment; the process does not wait for longer."""
        until = time.monotonic() + CANCEL_GRACE
        with self._lock:
            made, self._made, self._home = self._made, [], None
        for loop in made:
            loop.retire()
        for loop in made:
            loop.over.wait(_left(until))

    def _begin(self, call: AsyncCall, until: float | None, watch: Watch | None) -> None:
        """Submit a call, to another loop if the first one does not begin it."""
        soon = min(BEGIN_WITHIN, watch.every) if watch is not None else BEGIN_WITHIN
        while True:
            home = self._loop()
            if home.is_this_thread:
                raise RunError(
                    f"task {call.name!r} was run by code on the event loop of async tasks, which would wait for "
                    "itself. In an async task, call it in a thread: await asyncio.to_thread(...)."
                )
            try:
                home.submit(call)
            except RuntimeError:
                self._replace(home)  # closed, by the code of a step or after its end
                continue
            is_lost = call.done.wait(_left(until, soon))
            if not is_lost and call.home is None:
                is_lost = call.done.wait(_left(until, BEGIN_WITHIN - soon))
            coroutine = call.take()
            if coroutine is None:
                return
            if not is_lost:
                logger.error(
                    "The event loop of async tasks has not answered for %g s: a step blocks it, with time.sleep() or a "
                    "long computation. %s gets a new loop.",
                    BEGIN_WITHIN,
                    call.name,
                )
            self._replace(home)
            call.put_back(coroutine)
            if until is not None and time.monotonic() >= until:
                raise TimeIsUp

    def _interrupt(self, call: AsyncCall) -> None:
        """Cancel a call, and give it up with its loop if it does not end."""
        coroutine = call.take()
        if coroutine is not None:
            call.is_given_up = True
            coroutine.close()
            return
        home = call.home
        if home is None or call.done.is_set():
            return
        home.cancel(call)
        ended = False
        try:
            ended = call.done.wait(CANCEL_GRACE)
        finally:
            if not ended:
                self._abandon(home, call)

    def _abandon(self, home: TaskLoop, call: AsyncCall) -> None:
        how = "ignores that it was cancelled" if call.is_cancelling else "blocks its event loop"
        logger.error("Step %s %s: it is given up, and the next step gets a new loop.", call.name, how)
        call.is_given_up = True
        if not call.is_cancelling:
            home.lose_calls()
        self._replace(home)
        if not call.is_cancelling:
            home.break_up()

    def _loop(self) -> TaskLoop:
        with self._lock:
            if self._home is None or self._home.over.is_set():
                self._made = [made for made in self._made if not made.over.is_set()]
                self._home = TaskLoop()
                self._made.append(self._home)
            return self._home

    def _replace(self, home: TaskLoop) -> None:
        with self._lock:
            if self._home is home:
                self._home = None
        home.retire()

    def _forget(self) -> None:
        """In a forked child, which has the loop but not its thread.

        The loop is kept, so that nothing closes it: what it watches is shared with the parent.
        """
        self._inherited += self._made
        self._home, self._made = None, []
        self._lock = threading.Lock()


#: The calls of this process.
async_calls = AsyncCalls()


def _left(until: float | None, most: float | None = None) -> float | None:
    left = None if until is None else max(0.0, until - time.monotonic())
    return left if most is None else most if left is None else min(left, most)
