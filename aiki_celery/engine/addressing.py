"""Where a step's outcomes are recorded: the task's name, and the hash of the input or a key set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiki_celery.definitions.options import MAX_NAME, StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.errors import InputInvalid


def address_of(task: Task[..., Any], options: StepOptions, values: Mapping[str, Any]) -> str:
    """Give the address of a call.

    Raises:
        InputInvalid: The task's ``input_key`` gave something that cannot be a key.
        NotJournalable: An argument has no canonical form.
    """
    settings = task.settings
    if options.key is not None:
        return f"{settings.name}#{options.key}"
    if settings.input_key is not None:
        return f"{settings.name}#{_key_of_input(task, settings.input_key, values)}"
    return f"{settings.name}:{task.signature.hash(values)}"


def _key_of_input(task: Task[..., Any], input_key: Any, values: Mapping[str, Any]) -> str:
    args, kwargs = task.signature.call_form(values)
    key = input_key(*args, **kwargs)
    if not isinstance(key, str) or not 0 < len(key) <= MAX_NAME:
        raise InputInvalid(task.name, "input_key", f"must give 1 to {MAX_NAME} characters, not {key!r:.60}")
    return key
