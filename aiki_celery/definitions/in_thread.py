"""The one seam between async code and this package, which is not async inside: a call in a thread of a small pool."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: How many calls of one process are under way at once; each may hold a connection to the journal. The others wait.
THREADS = 8


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that waits for a database or a broker, without holding up the event loop.

    The function sees the caller's context variables. If the awaiting coroutine is cancelled, a call that has not begun
    is not made, and one that has begun goes on to its end in its thread.

    Raises:
        RuntimeError: There is no asyncio event loop here (trio has another kind).
        Exception: What the function raises.
    """
    loop = asyncio.get_running_loop()
    bound = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await loop.run_in_executor(_pool.executor(), bound)


class ThreadPool:
    """The threads of this process, made at first use; a forked child makes its own."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def executor(self) -> ThreadPoolExecutor:
        """Give the pool."""
        # setdefault is atomic; of two pools made at once, one is dropped before it has any thread.
        return self._made.get("pool") or self._made.setdefault(
            "pool", ThreadPoolExecutor(THREADS, thread_name_prefix="aiki-async")
        )

    def _forget(self) -> None:
        self._made: dict[str, ThreadPoolExecutor] = {}


_pool = ThreadPool()
