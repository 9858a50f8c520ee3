"""A Celery task as the steps of a workflow see it: results are what its JSON says, errors are ``TaskFailed``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task_settings import TaskSettings
from aiki_celery.errors import NotJournalable


class AdoptedTask:
    """Stands for a Celery task where a task's definition is asked for.

    Args:
        name: Name of the Celery task.
    """

    __slots__ = ("name", "settings", "signature")

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = TaskSettings(name, Retry.never(), (), None, False)
        self.signature = PlainResult(name)


class PlainResult:
    """What a Celery task returns, as JSON: the form in which Celery's own JSON serializer would pass it on.

    Args:
        name: Name of the Celery task.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def write_result(self, value: Any) -> str:
        """Write a result as JSON text.

        Raises:
            NotJournalable: It has no JSON form; says which part of it.
        """
        try:
            text = _dumps(value)
            text.encode()
            return text
        except (TypeError, ValueError, RecursionError) as error:
            place = next(_places_without_json(value, "the result", 0), "the result")
            detail = f"{error}. Return what JSON has: null, booleans, numbers, strings, lists, maps."
            raise NotJournalable(self._name, place, detail) from error

    def read_result(self, text: str) -> Any:
        """Read a result back from JSON text."""
        return from_json(text)


#: How deep a place is looked for.
DEEPEST = 50


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _places_without_json(value: Any, path: str, depth: int) -> Iterator[str]:
    """Find the innermost places whose value has no JSON form."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, (list, tuple)):
        parts = list(enumerate(value))
    if depth < DEEPEST:
        for key, item in parts:
            yield from _places_without_json(item, f"{path}[{key!r}]", depth + 1)
    try:
        _dumps(value)
    except (TypeError, ValueError, RecursionError):
        yield path
