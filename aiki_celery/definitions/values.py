"""One value's type: validate it, write it to the journal, read it back."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from aiki_celery.definitions.likeness import is_same
from aiki_celery.definitions.stored_form import StoredForm, make_adapter
from aiki_celery.errors import NotJournalable

_PLAIN_SCALARS = frozenset({type(None), bool, int, str})

#: Most lists and maps within one another that the JSON reader takes.
DEEPEST = 201


class ValueType(Protocol):
    """What the definitions need of a type."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether a value that is read back may be of another type than it was."""

    def validate(self, value: Any) -> Any:
        """Check a value given by a caller and give it back as the type; raises ``pydantic.ValidationError``."""

    def decode(self, value: Any) -> Any:
        """Give a value that was validated once as the type; raises ``pydantic.ValidationError``."""

    def write(self, value: Any, definition: str, path: str) -> str:
        """Write a validated value as JSON text; raises :class:`~aiki_celery.errors.NotJournalable`."""

    def read(self, text: str) -> Any:
        """Read a value back; raises ``pydantic.ValidationError``."""

    def to_message(self, value: Any, definition: str, path: str) -> Any:
        """Turn a validated value into plain JSON for a message that others may read."""

    def from_message(self, given: Any) -> Any:
        """Check plain JSON from a message that others may have written; raises ``pydantic.ValidationError``."""


class TypedValue:
    """A value with an annotation: pydantic decides.

    Args:
        annotation: The annotation, with forward references resolved.
    """

    __slots__ = ("_serializer", "_stored", "_validator", "decode", "is_ambiguous", "read", "validate")

    def __init__(self, annotation: Any) -> None:
        adapter = make_adapter(annotation)
        self._validator = adapter.validator
        # Both without a call in between: a replay makes thousands of them.
        self.validate = self._validator.validate_python
        self._serializer = adapter.serializer
        self._stored = StoredForm(adapter)
        self.read, self.decode = self._stored.read, self._stored.decode
        self.is_ambiguous = self._stored.is_ambiguous

    def write(self, value: Any, definition: str, path: str) -> str:
        """Write a validated value as JSON text."""
        try:
            return self._stored.write(value)
        except (PydanticSerializationError, RecursionError, ValueError) as error:
            place = next(_places_without_json(value, path), path)
            raise NotJournalable(definition, place, _remedy(error)) from error

    def to_message(self, value: Any, definition: str, path: str) -> Any:
        """Turn a validated value into plain JSON, in the form the type's own serializers give it."""
        try:
            return self._serializer.to_python(value, mode="json", by_alias=True, warnings="none")
        except (PydanticSerializationError, RecursionError, ValueError) as error:
            remedy = "Use enqueue(), or give the model ser_json_bytes and val_json_bytes 'base64'."
            raise NotJournalable(definition, path, f"no message can carry it: {error}. {remedy}") from error

    def from_message(self, given: Any) -> Any:
        """Check plain JSON from a message."""
        return self._validator.validate_json(json.dumps(given))


class PlainValue:
    """A value without an annotation: it must be plain JSON already; a tuple becomes a list."""

    __slots__ = ()

    #: JSON is read as what it is.
    is_ambiguous = False

    def validate(self, value: Any) -> Any:
        """Give the value as it is; :meth:`write` says whether it is plain JSON."""
        return value

    def decode(self, value: Any) -> Any:
        """Give the value as it is."""
        return value

    def write(self, value: Any, definition: str, path: str) -> str:
        """Write a value of null, booleans, numbers, strings, lists and string-keyed maps as JSON text."""
        if type(value) not in _PLAIN_SCALARS:
            for place, problem in _not_plain(value, path, ()):
                raise NotJournalable(definition, place, problem)
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            if not text.isascii():
                text.encode()  # half a surrogate pair is no text
            return text
        except (ValueError, UnicodeEncodeError) as error:
            raise NotJournalable(definition, path, str(error)) from error

    def read(self, text: str) -> Any:
        """Read a value back from JSON text."""
        return from_json(text)

    def to_message(self, value: Any, definition: str, path: str) -> Any:
        """Give the value as it is."""
        return value

    def from_message(self, given: Any) -> Any:
        """Give the value as it is."""
        return given


_PLAIN = PlainValue()


def value_type(annotation: Any) -> ValueType:
    """Give the type for an annotation, plain JSON where there is none.

    Raises:
        pydantic.PydanticUserError: pydantic cannot make a schema of the annotation.
    """
    if annotation is inspect.Parameter.empty or annotation is Any:
        return _PLAIN
    return TypedValue(annotation)


def round_trip(kind: ValueType, value: Any, definition: str, path: str) -> tuple[str, Any]:
    """Write a validated value and read it back, so that its first user sees what a replay will see.

    Returns:
        The JSON text, and the value read from it.

    Raises:
        NotJournalable: The value has no JSON form, or its JSON form cannot be read back, or as another type alone.
    """
    text = kind.write(value, definition, path)
    try:
        found = kind.read(text)
    except ValidationError as error:
        problem = f"its JSON form {text[:80]} cannot be read back: {first_message(error)}"
        raise NotJournalable(definition, path, problem) from error
    if kind.is_ambiguous and not is_same(value, found):
        problem = (
            f"its JSON form {text[:80]} is read back as {found!r:.80}, not as {value!r:.80}. Tell the members of the "
            "union apart, by Field(discriminator=...) and a Literal in each model, say."
        )
        raise NotJournalable(definition, path, problem)
    return text, found


def why_no_schema(error: Exception) -> str:
    """Give pydantic's reason; its advice is for people who write models."""
    reason = str(error).partition("\n")[0].partition(" Set `")[0]
    if "WorkflowRun" in reason:
        return f"{reason} The run is the first parameter of a workflow, and a task has none."
    return f"{reason} Use a pydantic model, a dataclass, or plain data."


def first_message(error: ValidationError) -> str:
    """Say pydantic's first complaint in one line, with the place inside the value."""
    detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in detail["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (f"{place}: " if place else "") + detail["msg"] + more


def _remedy(error: Exception) -> str:
    return f"{error}. Pass plain data, a pydantic model or a dataclass, or give the type a serializer."


def _places_without_json(value: Any, path: str, depth: int = 0) -> Iterator[str]:
    """Find the innermost places whose value has no JSON form."""
    if depth < DEEPEST:
        for key, item in _parts(value):
            yield from _places_without_json(item, path + key, depth + 1)
    try:
        to_json(value)
    except Exception:
        yield path


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield f".{name}", getattr(value, name)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield f".{field.name}", getattr(value, field.name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item


def _not_plain(value: Any, path: str, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Find what is not plain JSON, with its place and what to do."""
    kind = type(value)
    if kind in _PLAIN_SCALARS:
        return
    if kind is float:
        if not math.isfinite(value):
            yield path, f"{value} is no JSON number; annotate the value as float, which journals it"
    elif id(value) in above:
        yield path, "it contains itself"
    elif len(above) >= DEEPEST:
        yield path, f"it is nested more than {DEEPEST} levels deep"
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                yield (
                    path,
                    f"the key {key!r} is not a string; annotate the value, as in dict[{type(key).__name__}, ...]",
                )
            yield from _not_plain(item, f"{path}[{key!r}]", (*above, id(value)))
    elif kind in (list, tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, f"{path}[{index}]", (*above, id(value)))
    else:
        yield (
            path,
            f"{kind.__name__} is no plain JSON; annotate it with its type, so that pydantic can write it",
        )
