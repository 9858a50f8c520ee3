"""Where a step's outcomes are recorded: the task's name, and the hash of the input or a key set by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiki_celery.definitions.options import MAX_NAME, StepOptions
from aiki_celery.definitions.task import Task
from aiki_celery.engine.failures import in_a_line
from aiki_celery.engine.replay import Record
from aiki_celery.errors import InputInvalid, NotJournalable
from aiki_celery.model.storable_text import storable


def bind_call(
    record: Record, task: Task[..., Any], options: StepOptions, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Bind the arguments of a call, and validate them.

    Those of a call that is recorded were validated when it was made. A constraint that a deploy has tightened, or one
    that looks at the clock, does not judge them again.

    Raises:
        InputInvalid: They do not fit.
    """
    try:
        return task.signature.bind_values(args, kwargs)
    except InputInvalid:
        # A key does not tell it from a call that was refused the first time too, after which the code went on.
        if not is_keyed(task, options):
            with suppress(InputInvalid, NotJournalable):
                values = task.signature.bind_values(args, kwargs, is_judged=False)
                if record.is_recorded(address_of(task, options, values)):
                    return values
        raise


def address_of(task: Task[..., Any], options: StepOptions, values: Mapping[str, Any]) -> str:
    """Give the address of a call.

    Raises:
        InputInvalid: The task's ``input_key`` raised, or gave something that cannot be a key.
        NotJournalable: An argument has no canonical form.
    """
    settings = task.settings
    if options.key is not None:
        return f"{settings.name}#{options.key}"
    if settings.input_key is not None:
        return f"{settings.name}#{_key_of_input(task, settings.input_key, values)}"
    return f"{settings.name}:{task.signature.hash(values)}"


def is_keyed(task: Task[..., Any], options: StepOptions) -> bool:
    """Tell whether the address of a call says nothing of its input."""
    return options.key is not None or task.settings.input_key is not None


def _key_of_input(task: Task[..., Any], input_key: Any, values: Mapping[str, Any]) -> str:
    args, kwargs = task.signature.call_form(values)
    try:
        key = input_key(*args, **kwargs)
    except Exception as error:
        raise InputInvalid(task.name, "input_key", f"raised {in_a_line(error)}") from error
    if not isinstance(key, str) or not 0 < len(key) <= MAX_NAME or key != storable(key):
        rule = f"must give 1 to {MAX_NAME} characters, without NUL and half surrogates"
        raise InputInvalid(task.name, "input_key", f"{rule}, not {key!r:.60}")
    return key
