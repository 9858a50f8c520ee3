"""The operating system's threads, also where gevent has put greenlets in their place.

Leases must be renewed while a task computes without yielding, and a lock around a database connection must
hold between real threads. Nothing that is guarded by these locks may switch greenlets.
"""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


def _original(module: str, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def new_lock() -> AbstractContextManager[Any]:
    """Return a re-entrant lock that holds between operating-system threads."""
    lock: AbstractContextManager[Any] = _original("_thread", "RLock")()
    return lock


def start_thread(target: Callable[[], None]) -> None:
    """Run `target` in a daemon thread of the operating system."""
    _original("_thread", "start_new_thread")(target, ())


def sleep(seconds: float) -> None:
    """Block the calling operating-system thread."""
    _original("time", "sleep")(seconds)
