"""A function's signature as the journal sees it: arguments bound by name, validated, written, hashed."""

from __future__ import annotations

import contextlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from aiki_celery.definitions.parameters import Parameters
from aiki_celery.definitions.values import ValueType, first_message, round_trip, value_type, why_no_schema
from aiki_celery.errors import DefinitionInvalid, InputInvalid, NotJournalable, ResultInvalid

_COROUTINE = (
    "it is a coroutine, which nobody has awaited. Await it, in a task that is an async def; a workflow is replayed "
    "from its journal, and is written as def."
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments bound to a signature and validated.

    ``values`` holds them by name; ``text`` is their JSON form, one object with a key per argument.
    """

    values: dict[str, Any]
    text: str


class Signature:
    """The parameters and result of a function.

    Annotations are looked up when the function is defined; where one names something that is defined later in the
    module, the look-up is done at first use.

    Args:
        function: The user's function.
        name: Name of the definition, for messages.
        skip: How many leading parameters belong to the framework (a workflow's ``run``).

    Raises:
        DefinitionInvalid: pydantic cannot make a schema of an annotation.
    """

    def __init__(self, function: Callable[..., Any], name: str, skip: int = 0) -> None:
        self._function = function
        self._name = name
        self._parameters = Parameters(function, name, skip)
        self._types: dict[str, ValueType] | None = None
        self._result: ValueType | None = None
        with contextlib.suppress(NameError):
            self._resolve()

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Bind arguments, validate them, and write them as JSON.

        Raises:
            InputInvalid: The arguments do not fit; names the definition and the argument.
            NotJournalable: An argument has no JSON form; names its place.
        """
        values = self.bind_values(args, kwargs)
        return Arguments(values, self.write(values))

    def bind_values(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_judged: bool = True
    ) -> dict[str, Any]:
        """Bind a step's arguments and validate them, unless they were judged before.

        Raises:
            InputInvalid: The arguments do not fit; names the definition and the argument.
        """
        types = self._types or self._resolve()
        values: dict[str, Any] = {}
        for argument, given in self._parameters.match(args, kwargs):
            kind = types[argument]
            try:
                values[argument] = kind.validate(given) if is_judged else kind.decode(given)
            except ValidationError as error:
                raise InputInvalid(self._name, argument, first_message(error)) from error
        return values

    def write(self, values: Mapping[str, Any]) -> str:
        """Write validated arguments as one JSON object.

        Raises:
            NotJournalable: An argument has no JSON form; names its place.
        """
        types = self._types or self._resolve()
        parts = [f'"{name}":{types[name].write(value, self._name, name)}' for name, value in values.items()]
        return "{" + ",".join(parts) + "}"

    def check_readable(self, values: Mapping[str, Any]) -> None:
        """Raise NotJournalable where a validated argument would be read back as another type's value."""
        types = self._types or self._resolve()
        for name, value in values.items():
            if types[name].is_ambiguous:
                round_trip(types[name], value, self._name, name)

    def bind_input(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Bind a run's arguments as :meth:`bind` does, and make sure that they can be read back as well.

        Raises:
            InputInvalid: The arguments do not fit.
            NotJournalable: An argument has no JSON form, or one that cannot be read back.
        """
        bound = self.bind(args, kwargs)
        types = self._resolve()
        values = {
            name: round_trip(types[name], value, self._name, name)[1] for name, value in bound.values.items()
        }
        return Arguments(values, bound.text)

    def bind_message(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Bind arguments that came as JSON in a Celery message, whose sender may know nothing of our types.

        Raises:
            InputInvalid: The arguments do not fit.
        """
        types = self._resolve()
        values: dict[str, Any] = {}
        for argument, given in self._parameters.match(args, kwargs):
            try:
                values[argument] = types[argument].from_message(given)
            except ValidationError as error:
                raise InputInvalid(self._name, argument, first_message(error)) from error
        return self.bind_input(*self._parameters.call_form(values))

    def to_message(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Validate arguments and turn them into the plain JSON that a Celery message carries.

        Raises:
            InputInvalid: The arguments do not fit.
            NotJournalable: An argument has no JSON form.
        """
        types = self._resolve()
        values = self.bind_input(args, kwargs).values
        plain = {name: types[name].to_message(value, self._name, name) for name, value in values.items()}
        positional, keywords = self._parameters.call_form(plain)
        return list(positional), keywords

    def read(self, text: str) -> dict[str, Any]:
        """Read arguments back from the journal. A parameter that is gone from the signature is dropped.

        Raises:
            InputInvalid: What is stored no longer fits the types.
        """
        types = self._resolve()
        values: dict[str, Any] = {}
        for argument, part in split_object(text).items():
            if argument not in types:
                continue
            try:
                values[argument] = types[argument].read(part)
            except ValidationError as error:
                raise InputInvalid(self._name, argument, first_message(error)) from error
        return values

    def call_form(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn arguments by name into positional and keyword arguments for the call."""
        return self._parameters.call_form(values)

    def hash(self, values: Mapping[str, Any]) -> str:
        """Hash arguments canonically, those equal to their default left out.

        Raises:
            NotJournalable: An argument has no canonical form.
        """
        try:
            return self._parameters.hash(values)
        except NotJournalable:
            self.write(values)  # says where, if the value has no JSON form either
            raise

    def write_result(self, value: Any) -> tuple[str, Any]:
        """Validate a result and give its JSON text and the value a replay will see.

        Raises:
            ResultInvalid: The result does not fit the return annotation.
            NotJournalable: The result has no JSON form.
        """
        if inspect.iscoroutine(value):
            value.close()
            raise NotJournalable(self._name, "the result", _COROUTINE)
        self._resolve()
        assert self._result is not None
        try:
            valid = self._result.validate(value)
        except ValidationError as error:
            raise ResultInvalid(self._name, first_message(error)) from error
        return round_trip(self._result, valid, self._name, "the result")

    def read_result(self, text: str) -> Any:
        """Read a result back from the journal.

        Raises:
            ResultInvalid: What is stored no longer fits the return annotation.
        """
        kind = self._result
        if kind is None:
            self._resolve()
            kind = self._result
            assert kind is not None
        try:
            return kind.read(text)
        except ValidationError as error:
            raise ResultInvalid(
                self._name, f"what the journal holds cannot be read: {first_message(error)}"
            ) from error

    def _resolve(self) -> dict[str, ValueType]:
        """Look the annotations up, once; raises NameError while one of them is not defined yet."""
        if self._types is not None:
            return self._types
        hints = typing.get_type_hints(self._function, include_extras=True)
        types: dict[str, ValueType] = {}
        place = ""
        try:
            for parameter, annotation in self._parameters.annotations(hints):
                place = f"parameter {parameter!r}"
                types[parameter] = value_type(annotation)
            place = "the return annotation"
            self._result = value_type(hints.get("return", inspect.Parameter.empty))
        except NameError:
            raise
        except DefinitionInvalid as error:
            raise DefinitionInvalid(f"{self._name}: {place}: {error}") from None
        except Exception as error:
            raise DefinitionInvalid(
                f"{self._name}: {place} is of a type pydantic has no schema for: {why_no_schema(error)}"
            ) from error
        self._types = types
        return types


def split_object(text: str) -> dict[str, str]:
    """Split the JSON object of stored arguments into the JSON text of each."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in json.loads(text).items()}
