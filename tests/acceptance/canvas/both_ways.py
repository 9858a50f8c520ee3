"""Runs a canvas both ways, and gives what a user would see of it in a form that can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery.exceptions import ChordError, TimeoutError
from celery.result import ResultBase

from aiki_celery import RunStatus, WorkflowFailed, durable
from aiki_celery.definitions.handle import WorkflowHandle
from tests.acceptance.canvas import tasks
from tests.harness.effects import Effects
from tests.harness.eventually import eventually

#: Seconds in which a canvas is over.
PATIENCE = 20

_RAISED = re.compile(r"raised (\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """A canvas, and what is to be compared.

    Attributes:
        build: Makes it, given the place for its notes.
        notes: How many notes there must be on either side; they may come after the result.
        in_order: Whether the notes must come in the same order.
        loose: Whether a list as result may come in any order, as Celery itself gives none.
        args: What the canvas is given when it is started.
        kwargs: The same, by name.
    """

    build: Callable[[str], Any]
    notes: int = 0
    in_order: bool = False
    loose: bool = False
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What a user sees: the result, or the error's type and message; and the notes the tasks left."""

    result: Any
    notes: list[str]


def note(where: str, message: str = "") -> Any:
    """The signature of a note that passes on what it gets."""
    return tasks.note.s(where=where, message=message)


def note_only(where: str, message: str) -> Any:
    """The same, immutable."""
    return tasks.note.si(where=where, message=message)


def start_plain(case: Case, where: str, effects: Effects) -> Callable[[], Seen]:
    """Starts it by Celery, with its result backend; gives what waits for the end."""
    pending = case.build(where).apply_async(case.args, dict(case.kwargs))

    def wait() -> Seen:
        try:
            result: Any = _plain(pending)
        except Exception as error:
            result = _error(error)
        return Seen(_sorted(case, result), _notes(case, where, effects))

    return wait


def start_durable(case: Case, where: str, effects: Effects) -> Callable[[], Seen]:
    """Starts it by ``durable(...)``; gives what waits for the end."""
    handle = durable(case.build(where)).enqueue(*case.args, **case.kwargs)

    def wait() -> Seen:
        try:
            result = handle.get(timeout=PATIENCE)
        except WorkflowFailed:
            result = recorded_error(handle)
        return Seen(_sorted(case, result), _notes(case, where, effects))

    return wait


def recorded_error(handle: WorkflowHandle[Any]) -> tuple[str, str, str]:
    """The error of the leaf that failed a run."""
    view = handle.refresh()
    assert view.status is RunStatus.FAILED
    error = json.loads(view.error or "{}")
    if error["type"] == "TaskFailed":
        _, kind, message, *_ = error["args"]
        return ("failed", kind, message)
    return ("failed", error["type"], error["message"])


def _plain(pending: ResultBase) -> Any:
    # Celery waits for a message of Redis, which comes once and may be lost; each wait begins with a look.
    (got,) = eventually(lambda: _got(pending), PATIENCE, f"the result of {pending!r}")
    return json.loads(json.dumps(got))


def _got(pending: ResultBase) -> tuple[Any, ...]:
    try:
        return (pending.get(timeout=2),)
    except TimeoutError:
        return ()


def _error(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, ChordError):
        found = _RAISED.search(str(error))
        assert found is not None, error
        arguments = eval(f"({found[2]},)")  # the repr of an exception's arguments, made by a task of ours
        return ("failed", found[1], str(Exception(*arguments)))
    return ("failed", type(error).__name__, str(error))


def _sorted(case: Case, result: Any) -> Any:
    return sorted(result, key=repr) if case.loose and isinstance(result, list) else result


def _notes(case: Case, where: str, effects: Effects) -> list[str]:
    if not case.notes:
        return [effect["message"] for effect in effects.all("note", where=where)]
    eventually(lambda: effects.count("note", where=where) >= case.notes, PATIENCE, f"notes of {where}")
    found = [effect["message"] for effect in effects.all("note", where=where)]
    return found if case.in_order else sorted(found)
