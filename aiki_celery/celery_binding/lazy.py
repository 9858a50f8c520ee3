"""A binding that is put together when it is first used: settings are read late, after the application's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from aiki_celery.celery_binding.binding import Binding


class LazyBinding:
    """Stands for the binding where it must be named before the settings can be read.

    Args:
        app: The application.
        make: Gives the binding.
    """

    def __init__(self, app: Celery, make: Callable[[], Binding]) -> None:
        self.app = app
        self._make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self._make(), name)
