"""An event: something that is sent to a run from outside, by name, with a payload of a known type."""

from __future__ import annotations

import inspect
import json
from typing import Any, Generic, TypeVar, overload

from pydantic import ValidationError

from aiki_celery.definitions.current import current_runtime
from aiki_celery.definitions.in_thread import in_thread
from aiki_celery.definitions.naming import check_name
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.values import ValueType, first_message, round_trip, value_type, why_no_schema
from aiki_celery.errors import DefinitionInvalid, InputInvalid

T = TypeVar("T")


class Event(Generic[T]):
    """The definition of an event. Workflows wait for it with ``run.wait_for``; others send it with ``handle.send``.

    Args:
        name: Name of the event. Each run has a queue of its own for each name.
        kind: The type of what is sent.
    """

    def __init__(self, name: str, kind: ValueType) -> None:
        self.name = name
        self._kind = kind

    def write(self, payload: Any) -> str:
        """Validate what is to be sent, and write it as JSON text.

        Raises:
            InputInvalid: It does not fit the event's type.
            NotJournalable: It has no JSON form.
        """
        try:
            valid = self._kind.validate(payload)
        except ValidationError as error:
            raise InputInvalid(self.name, "payload", first_message(error)) from error
        return round_trip(self._kind, valid, self.name, "payload")[0]

    def write_plain(self, payload: Any) -> str:
        """Do what :meth:`write` does with plain JSON from outside, or with a value of the event's own type."""
        try:
            json.dumps(payload)
        except (TypeError, ValueError, RecursionError):
            return self.write(payload)
        try:
            valid = self._kind.from_message(payload)
        except ValidationError as error:
            raise InputInvalid(self.name, "payload", first_message(error)) from error
        return round_trip(self._kind, valid, self.name, "payload")[0]

    def read(self, text: str) -> T:
        """Read what was sent.

        Raises:
            InputInvalid: It no longer fits the event's type.
        """
        try:
            payload: T = self._kind.read(text)
        except ValidationError as error:
            raise InputInvalid(
                self.name, "payload", f"what was sent cannot be read: {first_message(error)}"
            ) from error
        return payload

    def exchange(self, token: str, payload: Any = None) -> str:
        """Send the event to the run that gave this token out, once; for the view that a webhook calls.

        Args:
            token: What ``run.callback(event, ...)`` gave.
            payload: What is sent: plain JSON, as a request's body holds it, or a value of the event's type.

        Returns:
            Id of the run.

        Raises:
            TokenInvalid: It is not one that this application made, or one for another event.
            TokenExpired: Its time is over.
            TokenUsed: It was exchanged before.
            InputInvalid: The payload does not fit; nothing was sent, and the token can still be exchanged.
            RunFinished: The run is over.
        """
        return current_runtime().sender.exchange(self, token, payload)

    async def aexchange(self, token: str, payload: Any = None) -> str:
        """Do what ``exchange`` does, for async code."""
        return await in_thread(self.exchange, token, payload)

    def __repr__(self) -> str:
        return f"<event {self.name!r}>"


@overload
def event(name: str) -> Event[Any]: ...


@overload
def event(name: str, type: type[T]) -> Event[T]: ...


@overload
def event(name: str, type: Any) -> Event[Any]: ...


def event(name: str, type: Any = inspect.Parameter.empty) -> Event[Any]:
    """Define an event.

    Args:
        name: Its name, by which senders and waiting runs find one another.
        type: What is sent with it: anything that pydantic has a schema for; plain JSON if none is given.

    Raises:
        DefinitionInvalid: The name cannot be used, pydantic has no schema for the type, or it hides what it holds.
    """
    check_name("event", name)
    try:
        kind = value_type(type)
    except DefinitionInvalid as error:
        raise DefinitionInvalid(f"event {name!r}: {error}") from None
    except Exception as error:
        raise DefinitionInvalid(
            f"event {name!r}: its type {type!r} has no schema: {why_no_schema(error)}"
        ) from error
    definition: Event[Any] = Event(name, kind)
    registry.add_event(definition)
    return definition
