"""The list of hooks. Metrics, tracing and the crash injector listen here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from aiki_celery.model.events import RunEvent

E = TypeVar("E", bound=RunEvent)
Hook = Callable[[Any], None]

logger = logging.getLogger("aiki_celery.lifecycle")


class Lifecycle:
    """Calls hooks with lifecycle events, in the order they were added.

    A hook runs inside the pass, so it should be quick. An ``Exception`` it raises is logged and goes no further.
    """

    def __init__(self) -> None:
        self._hooks: list[tuple[type[RunEvent], Hook]] = []

    def on(self, event: type[E], hook: Callable[[E], None]) -> Callable[[], None]:
        """Call ``hook`` with every event of this type or a subtype; ``RunEvent`` means all.

        Returns:
            A function that takes the hook off the list again.
        """
        entry = (event, hook)
        self._hooks.append(entry)
        return lambda: self._hooks.remove(entry)

    def __bool__(self) -> bool:
        """Whether anybody listens: without, no event need be made."""
        return bool(self._hooks)

    def emit(self, event: RunEvent) -> None:
        """Call the hooks that listen to this event."""
        for kind, hook in list(self._hooks):
            if isinstance(event, kind):
                try:
                    hook(event)
                except Exception:
                    logger.exception("A hook failed on %s", event)
