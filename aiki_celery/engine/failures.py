"""Errors as they are recorded, and as they are raised again: the first time and on every replay alike."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json, to_json

from aiki_celery.definitions.values import PlainValue
from aiki_celery.errors import NotJournalable, OutcomeUnknown, TaskFailed
from aiki_celery.model.storable_text import storable

#: Longest message and traceback kept, in characters; of a longer one, the end is kept.
MAX_TEXT = 20_000

_PLAIN = PlainValue()


def write_failure(
    error: BaseException,
    attempts: int,
    declared: Sequence[type[Exception]] = (),
    put_aside: str | None = None,
    marker: str | None = None,
) -> str:
    """Write an error as JSON text: its type, message, traceback, attempts, and its ``args`` where they are JSON.

    Of the exceptions the task declares, the name of the one it is, or the first it derives from, is kept too; and of
    an error that ends a run, what a retry by hand puts aside, and the name of its marker if it has one of its own.
    """
    kinds = [kind for kind in declared if isinstance(error, kind)]
    try:
        arguments = from_json(_PLAIN.write(list(error.args), type(error).__name__, "args"))
    except NotJournalable:
        arguments = None
    failure = {
        "type": storable(type(error).__qualname__),
        "message": _short(_message(error)),
        "traceback": _short("".join(traceback.format_exception(error))),
        "attempts": attempts,
        "args": arguments,
        "declared": (type(error) if type(error) in kinds else kinds[0]).__qualname__ if kinds else None,
    }
    if put_aside is not None:
        failure["aside"] = put_aside
    if marker is not None:
        failure["marker"] = marker
    return to_json(failure, inf_nan_mode="strings").decode()


def read_failure(
    text: str, task: str, declared: Sequence[type[Exception]], idempotency_key: str
) -> Exception:
    """Make the error that a recorded failure raises in the workflow.

    An error the task declares in ``raises=`` is rebuilt as what is declared; the class comes from that declaration,
    never from a name in the journal.
    """
    failure: dict[str, Any] = from_json(text)
    name, arguments = failure.get("type", ""), failure.get("args")
    if name == TaskFailed.__qualname__ and isinstance(arguments, list) and len(arguments) >= 4:
        # A canvas went on as this step: what failed is a task of the canvas.
        task, name, message, attempts = arguments[:4]
        return TaskFailed(task, name, message, attempts, failure.get("traceback", ""))
    if name == OutcomeUnknown.__qualname__:
        # The recorded key: the call may have been made by a run from which this one was forked.
        return OutcomeUnknown(task, str(arguments[1]) if arguments else idempotency_key)
    if arguments is not None:
        for kind in declared:
            if kind.__qualname__ == failure.get("declared"):
                try:
                    return kind(*arguments)
                except Exception:
                    break  # its constructor takes something else than its args
    return TaskFailed(
        task, name, failure.get("message", ""), int(failure.get("attempts", 1)), failure.get("traceback", "")
    )


def in_a_line(error: BaseException) -> str:
    """Say what an error is, for the history and the log."""
    return storable(f"{type(error).__qualname__}: {_message(error)}")


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"<the message of {type(error).__qualname__} could not be made>"


def _short(text: str) -> str:
    text = storable(text)
    return text if len(text) <= MAX_TEXT else "... " + text[-MAX_TEXT:]


def stems_from(error: BaseException, cause: BaseException) -> bool:
    """Tell whether an error is, or was raised because of, another."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if link is cause:
            return True
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False
