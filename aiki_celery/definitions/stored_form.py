"""How a type is written to the journal and read back, made from pydantic's core schema of it.

The journal wants two things pydantic does not do by default. What was validated when it was produced must be
*decoded* on replay, not judged again: a constraint tightened by a deploy, or a validator that looks at the clock,
must not break a run in flight. And a value must come back as what it was: aliases, computed fields and UTF-8 bytes,
which serve other ends, would get in the way. So a copy of the core schema is made without constraints, without the
models' own validators and aliases, with base64 for bytes and strings for NaN and the infinities.

Validators that belong to a *type* (``Annotated[..., AfterValidator]``, ``__get_pydantic_core_schema__``) stay, because
they may be what turns JSON into that type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import CoreConfig, SchemaSerializer, SchemaValidator, ValidationError

#: How values are written, whatever the models' own settings say.
STORED_CONFIG: CoreConfig = {
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_inf_nan": "strings",
    "ser_json_timedelta": "iso8601",
}

_CONSTRAINTS = frozenset(
    {
        "gt",
        "ge",
        "lt",
        "le",
        "multiple_of",
        "min_length",
        "max_length",
        "pattern",
        "max_digits",
        "decimal_places",
    }
)
_ALIASES = frozenset({"validation_alias", "serialization_alias"})
_SCALARS_WITH_CONSTRAINTS = frozenset(
    {"int", "float", "decimal", "str", "bytes", "date", "time", "datetime", "timedelta"}
    | {"list", "tuple", "set", "frozenset", "dict", "generator"}
)
_VALIDATOR_NODES = frozenset({"function-after", "function-before", "function-wrap"})


class StoredForm:
    """Writes values of one type as JSON and reads them back.

    Args:
        adapter: The type, as pydantic knows it.
    """

    __slots__ = ("_reader", "_strict_reader", "_writer")

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        schema = _stored(adapter.core_schema, frozenset(_validators_of_models(adapter.core_schema)))
        self._writer = _build(SchemaSerializer, schema)
        self._reader = _build(SchemaValidator, schema)
        self._strict_reader = adapter.validator

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
            # A model's own validator may be what turns the text into the type.
            return self._strict_reader.validate_json(text)


def _build(factory: Any, schema: Any) -> Any:
    """Build a validator or serializer from the schema given, not from the ones that models keep ready."""
    try:
        return factory(schema, STORED_CONFIG, _use_prebuilt=False)
    except TypeError:  # pydantic-core before it kept any ready
        return factory(schema, STORED_CONFIG)


def _stored(node: Any, validators: frozenset[int]) -> Any:
    """Copy a core schema, leaving out what the journal does not want."""
    if isinstance(node, list):
        return [_stored(item, validators) for item in node]
    if isinstance(node, tuple):
        return tuple(_stored(item, validators) for item in node)
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if kind in _VALIDATOR_NODES and id(_function(node["function"].get("function"))) in validators:
        return _stored(_inner(node), validators)
    copy = {key: _stored(value, validators) for key, value in node.items() if not _unwanted(kind, key)}
    if kind in {"model", "dataclass", "typed-dict"}:
        copy["config"] = {**node.get("config", {}), **STORED_CONFIG}
        if copy["config"].get("extra_fields_behavior") == "forbid":
            copy["config"]["extra_fields_behavior"] = "ignore"
    if kind in {"model-fields", "dataclass-args", "typed-dict"}:
        copy["computed_fields"] = []
        if node.get("extra_behavior") == "forbid":
            copy["extra_behavior"] = "ignore"
    return copy


def _inner(node: dict[str, Any]) -> Any:
    """Give the schema a validator was put around, keeping a reference name others may use."""
    inner = dict(node["schema"])
    if "ref" in node and "ref" not in inner:
        inner["ref"] = node["ref"]
    if "serialization" in node and "serialization" not in inner:
        inner["serialization"] = node["serialization"]
    return inner


def _unwanted(kind: Any, key: str) -> bool:
    return (
        (key in _CONSTRAINTS and kind in _SCALARS_WITH_CONSTRAINTS)
        or key in _ALIASES
        or key == "metadata"
        or (key == "computed_fields")
    )


def _validators_of_models(node: Any) -> Iterator[int]:
    """Give the identities of the validators that models and pydantic dataclasses declare with pydantic's decorators."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _validators_of_models(item)
    elif isinstance(node, dict):
        declared = getattr(node.get("cls"), "__pydantic_decorators__", None)
        if declared is not None:
            for group in (declared.field_validators, declared.validators, declared.model_validators):
                for decorator in group.values():
                    yield id(_function(decorator.func))
        for item in node.values():
            yield from _validators_of_models(item)


def _function(callable: Any) -> Any:
    """Give the plain function of a method, of which a class makes a new one each time it is asked."""
    return getattr(callable, "__func__", callable)


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
