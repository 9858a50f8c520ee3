"""Threads of the operating system, and how to wait for them, also where gevent has put greenlets in their place."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Signal(Protocol):
    """What a native thread sets, and the thread or greenlet that has made it waits for."""

    def set(self) -> None:
        """Set it, from any thread."""

    def clear(self) -> None:
        """Take that back."""

    def is_set(self) -> bool:
        """Tell whether it is set."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or so many seconds; tell whether it is set."""


class HubSignal:
    """A signal to a greenlet. gevent's own events may lose what another thread sets; its ``async`` watchers do not."""

    def __init__(self) -> None:
        gevent: Any = sys.modules["gevent"]
        self._event = threading.Event()
        self._is_set = False
        self._watcher = gevent.get_hub().loop.async_()

    def set(self) -> None:
        """Set it, from any thread."""
        self._is_set = True
        self._watcher.send()

    def clear(self) -> None:
        """Take that back."""
        self._is_set = False
        self._event.clear()

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or so many seconds; tell whether it is set."""
        # The watcher is running before the look, so nothing is set unseen; it also keeps the hub waiting.
        self._watcher.start(self._event.set)
        try:
            return self._is_set or self._event.wait(timeout) or self._is_set
        finally:
            self._watcher.stop()


def new_signal() -> Signal:
    """Make a signal for this thread, or this greenlet."""
    return HubSignal() if is_patched() else threading.Event()


def is_patched() -> bool:
    """Tell whether gevent has put greenlets in the place of threads."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


class NativeThread:
    """A daemon thread. On a greenlet, code that blocks would hold up every greenlet of the worker.

    Args:
        target: What it does.
        name: Its name.
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._interrupt: Callable[[type[BaseException]], object] | None = None
        self._ident = 0
        if is_patched():
            monkey: Any = sys.modules["gevent.monkey"]
            monkey.get_original("_thread", "start_new_thread")(self._run, ())
        else:
            threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_current(self) -> bool:
        """Whether the code that asks runs in this thread."""
        return self._ident == threading.get_ident()

    def interrupt(self, kind: type[BaseException]) -> None:
        """Raise an exception in the thread, as soon as it runs a line of Python; once it has ended, do nothing."""
        with self._lock:
            if self._interrupt is not None:
                self._interrupt(kind)

    def _run(self) -> None:
        self._ident = threading.get_ident()
        self._interrupt = self._greenlet_interrupt() if is_patched() else self._raise_in_thread
        try:
            self._target()
        finally:
            with self._lock:
                self._interrupt = None

    def _raise_in_thread(self, kind: type[BaseException]) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), ctypes.py_object(kind))

    def _greenlet_interrupt(self) -> Callable[[type[BaseException]], object]:
        """Give what interrupts this greenlet, where it waits for the hub of its thread."""
        gevent: Any = sys.modules["gevent"]
        loop, greenlet = gevent.get_hub().loop, gevent.getcurrent()
        return lambda kind: loop.run_callback_threadsafe(greenlet.throw, kind)
