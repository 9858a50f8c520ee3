"""What names, versions and functions a definition may have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from aiki_celery.errors import DefinitionInvalid

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/ -]{0,99}(?<! )\Z")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}\Z")


def check_name(kind: str, name: Any) -> str:
    """Give a name that may be used.

    Raises:
        DefinitionInvalid: It is empty, too long, or has characters that would be read as something else.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise DefinitionInvalid(
            f"{kind} name {name!r}: use 1 to 100 ASCII letters, digits, spaces and _ . : / -, beginning with a "
            "letter, digit or underscore ('@' separates the version)"
        )
    return name


def check_version(name: str, version: Any) -> str:
    """Give a version that may be used.

    Raises:
        DefinitionInvalid: It is empty, too long, or has other characters.
    """
    if not isinstance(version, str) or not _VERSION.match(version):
        raise DefinitionInvalid(
            f"workflow {name!r}: version {version!r}: use 1 to 32 ASCII letters, digits and . + _ -, as in '1.0.0'"
        )
    return version


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Give a key that sorts versions: numbers as numbers, and a number after a word (1.0.0 after 1.0.0rc1)."""
    parts = re.findall(r"\d+|[A-Za-z]+", version.split("+")[0])
    return (*((1, int(part), "") if part.isdigit() else (-1, 0, part) for part in parts), (0, 0, ""))


def check_function(kind: str, name: str, function: Callable[..., Any]) -> None:
    """Refuse functions that cannot be a task or workflow.

    A task may be a plain function around a coroutine function: what that gives is awaited, if it is a coroutine. The
    code of a workflow would be asynchronous all the same.

    Raises:
        DefinitionInvalid: It is no function, or a generator function, or a workflow is a coroutine function.
    """
    if not callable(function):
        raise DefinitionInvalid(f"{kind} {name!r}: {function!r} is not a function")
    if kind == "workflow" and _is_async(function):
        raise DefinitionInvalid(
            f"workflow {name!r} is an async def. A workflow is replayed from its journal and must not depend on how an "
            "event loop orders its awaits; write it as def. Its waits free the worker anyway."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionInvalid(f"{kind} {name!r} is a generator; it must return a value")
    if not (hasattr(function, "__annotations__") or inspect.isroutine(function)):
        raise DefinitionInvalid(
            f"{kind} {name!r}: {function!r} is an object, whose parameters have no types to be read. Write a function "
            "that calls it."
        )


def _is_async(function: Callable[..., Any]) -> bool:
    """Tell whether a coroutine function is called, behind whatever functools.wraps has put around it."""
    what_is_called = (function, inspect.unwrap(function), type(function).__call__)
    return any(map(inspect.iscoroutinefunction, what_is_called))
