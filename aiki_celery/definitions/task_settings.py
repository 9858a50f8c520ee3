"""What ``@task`` was given, checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiki_celery.definitions.declared import declared_queue
from aiki_celery.definitions.options import check_timeout
from aiki_celery.definitions.retry import Retry
from aiki_celery.errors import DefinitionInvalid, InputInvalid


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What ``@task`` was given."""

    name: str
    retry: Retry
    raises: tuple[type[Exception], ...]
    input_key: Callable[..., str] | None
    at_most_once: bool
    queue: str | None = None
    timeout: float | None = None
    transactional: bool = False


def checked_options(
    name: str, queue: str | None, timeout: timedelta | float | None
) -> tuple[str | None, float | None]:
    """Give the queue and the timeout, in seconds, of a task.

    Raises:
        DefinitionInvalid: One of them cannot be used.
    """
    try:
        return declared_queue("task", name, queue), None if timeout is None else check_timeout(name, timeout)
    except InputInvalid as error:
        raise DefinitionInvalid(f"task {name!r}: {error.argument}= {error.detail}") from None


def checked_input_key(name: str, input_key: Callable[..., str] | None) -> Callable[..., str] | None:
    """Give the function that makes the keys of a task's steps.

    Raises:
        DefinitionInvalid: It is no function.
    """
    if input_key is not None and not callable(input_key):
        raise DefinitionInvalid(
            f"task {name!r}: input_key= must be a function that takes the task's arguments, not {input_key!r:.60}"
        )
    return input_key


def check_transactional(name: str, function: Callable[..., Any], *, at_most_once: bool) -> None:
    """Refuse a transactional task that cannot be one.

    Raises:
        DefinitionInvalid: It is at-most-once as well, or a coroutine function.
    """
    if at_most_once:
        raise DefinitionInvalid(
            f"task {name!r}: at_most_once and transactional exclude each other. A transactional task happens exactly "
            "once already, as far as it writes to the journal's database."
        )
    if inspect.iscoroutinefunction(function):
        raise DefinitionInvalid(
            f"task {name!r}: transactional=True needs a def, not an async def: its transaction is an ordinary "
            "connection of SQLAlchemy's, which would hold up the event loop."
        )


def declared_errors(name: str, raises: Sequence[type[Exception]]) -> tuple[type[Exception], ...]:
    """Give the exceptions that a task declares.

    Raises:
        DefinitionInvalid: There is something else among them.
    """
    listed = tuple(raises) if isinstance(raises, (list, tuple, set, frozenset)) else (raises,)
    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise DefinitionInvalid(f"task {name!r}: raises= must hold exception types, not {kind!r}")
    return listed
