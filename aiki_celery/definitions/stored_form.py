"""How values of a type are written to the journal and read back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, ValidationError

from aiki_celery.definitions.stored_schema import STORED_CONFIG, has_union, refuse_secrets, stored_schema


class StoredForm:
    """Writes values of one type as JSON and reads them back.

    Args:
        adapter: The type, as pydantic knows it.

    Attributes:
        is_ambiguous: Whether JSON text may be of one type or another: a union is among them.

    Raises:
        DefinitionInvalid: The type hides what it holds.
    """

    __slots__ = ("_others", "_reader", "_writer", "is_ambiguous")

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        refuse_secrets(adapter.core_schema)
        self.is_ambiguous = has_union(adapter.core_schema)
        schema = stored_schema(adapter.core_schema, spares_unions=True)
        self._writer = _build(SchemaSerializer, schema)
        self._reader = _build(SchemaValidator, schema)
        # A model's own validator may be what turns the text into the type.
        self._others: list[Any] = [adapter.validator]
        if self.is_ambiguous:
            # A deploy may have tightened what is kept here for the sake of unions: then it is left out there as well.
            bare = stored_schema(adapter.core_schema, spares_unions=False)
            self._others.insert(0, _build(SchemaValidator, bare))

    def write(self, value: Any) -> str:
        """Write a validated value as JSON text.

        Raises:
            pydantic_core.PydanticSerializationError: Something in the value has no JSON form.
        """
        text: bytes = self._writer.to_json(value, warnings=False)
        return text.decode()

    def read(self, text: str) -> Any:
        """Read a value back from JSON text.

        Raises:
            pydantic_core.ValidationError: The text does not hold such a value.
        """
        try:
            return self._reader.validate_json(text)
        except ValidationError:
            *others, last = self._others
            for other in others:
                with suppress(ValidationError):
                    return other.validate_json(text)
            return last.validate_json(text)

    def decode(self, value: Any) -> Any:
        """Give a value as the type, as it is read back and not as it is judged when it is new.

        Raises:
            pydantic_core.ValidationError: It is no such value.
        """
        *others, last = (self._reader, *self._others[:-1])
        for other in others:
            with suppress(ValidationError):
                return other.validate_python(value)
        return last.validate_python(value)


def _build(factory: Any, schema: Any) -> Any:
    """Build a validator or serializer from the schema given, not from the ones that models keep ready."""
    try:
        return factory(schema, STORED_CONFIG, _use_prebuilt=False)
    except TypeError:  # pydantic-core before it kept any ready
        return factory(schema, STORED_CONFIG)


def make_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Make pydantic's adapter of an annotation, with our form of bytes and NaN where the type takes settings."""
    config = ConfigDict(
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
        arbitrary_types_allowed=False,
    )
    try:
        return TypeAdapter(annotation, config=config)
    except Exception as error:
        if getattr(error, "code", None) != "type-adapter-config-unused":
            raise
        return TypeAdapter(annotation)
