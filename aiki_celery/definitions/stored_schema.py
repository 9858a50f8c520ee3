"""A copy of pydantic's core schema of a type, by which the journal is written and read.

The journal wants two things pydantic does not do by default. What was validated when it was produced must be
*decoded* on replay, not judged again: a constraint tightened by a deploy, or a validator that looks at the clock,
must not break a run in flight. And a value must come back as what it was: aliases, computed fields and UTF-8 bytes,
which serve other ends, would get in the way. So the copy has no constraints, none of the models' own validators and
aliases, base64 for bytes and strings for NaN and the infinities.

Validators that belong to a *type* (``Annotated[..., AfterValidator]``, ``__get_pydantic_core_schema__``) stay, because
they may be what turns JSON into that type. In a union everything stays that tells its members apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic_core import CoreConfig

from aiki_celery.errors import DefinitionInvalid

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
        "tz_constraint",
    }
)
#: Fields are written and read by their own names, all of them, and nothing that is made from others.
_FOR_OTHERS = frozenset(
    {"validation_alias", "serialization_alias", "serialization_exclude", "serialization_exclude_if"}
    | {"metadata", "computed_fields"}
)
#: What compares a value with the moment at which it is read; it tells no members of a union apart for long.
_OF_THE_MOMENT = frozenset({"now_op", "now_utc_offset"})
_LEFT_OUT = _FOR_OTHERS | _OF_THE_MOMENT
_SCALARS_WITH_CONSTRAINTS = frozenset(
    {"int", "float", "decimal", "str", "bytes", "date", "time", "datetime", "timedelta"}
    | {"list", "tuple", "set", "frozenset", "dict", "generator"}
)
_VALIDATOR_NODES = frozenset({"function-after", "function-before", "function-wrap"})
#: What a schema has that is no schema, but the user's own.
_DATA = frozenset({"default", "expected", "members"})
#: What the names of schemas end in whose validators stay.
_WHOLE = "#whole"


def stored_schema(schema: Any, *, spares_unions: bool) -> Any:
    """Copy a core schema.

    Args:
        schema: The schema.
        spares_unions: Whether validators and constraints stay below unions.
    """
    return _stored(schema, frozenset(_validators_of_models(schema)), spares=spares_unions)


def has_union(schema: Any) -> bool:
    """Tell whether JSON text may be of one type or another by this schema."""
    return any(node["type"] == "union" for node in _nodes(schema))


def _stored(node: Any, validators: frozenset[int], *, spares: bool, whole: bool = False) -> Any:
    """Copy a core schema, leaving out what the journal does not want.

    Args:
        node: The schema, or a part of it.
        validators: Identities of the models' own validators, which are left out.
        spares: Whether unions are spared: validators and constraints stay below them.
        whole: Whether this part is below a union.
    """

    def copied(part: Any, *, whole: bool = whole) -> Any:
        return _stored(part, validators, spares=spares, whole=whole)

    if not _is_schema(node):
        return _map(copied, node)
    kind = node["type"]
    if not whole and _is_validator(node) and id(_function(node["function"].get("function"))) in validators:
        return copied(_inner(node))
    below = whole or (spares and kind == "union")
    copy = {
        key: value if key in _DATA else copied(value, whole=below)
        for key, value in node.items()
        if key not in _LEFT_OUT and (whole or not _is_constraint(kind, key))
    }
    if kind == "definitions" and spares and has_union(node):
        copy["definitions"] += copied(node["definitions"], whole=True)
    if whole:
        copy |= {key: copy[key] + _WHOLE for key in ("ref", "schema_ref") if key in copy}
    if kind in {"model", "dataclass", "typed-dict"}:
        copy["config"] = {**node.get("config", {}), **STORED_CONFIG}
        if not whole and copy["config"].get("extra_fields_behavior") == "forbid":
            copy["config"]["extra_fields_behavior"] = "ignore"
    if kind in {"model-fields", "dataclass-args", "typed-dict"}:
        copy["computed_fields"] = []
        if not whole and node.get("extra_behavior") == "forbid":
            copy["extra_behavior"] = "ignore"
    return copy


def _is_schema(node: Any) -> bool:
    """Tell a schema from a map of them: fields have names such as ``type``, too, and their values are no text."""
    return isinstance(node, dict) and isinstance(node.get("type"), str)


def _map(change: Callable[[Any], Any], node: Any) -> Any:
    """Copy what holds schemas, each of them changed."""
    if isinstance(node, (list, tuple)):
        return type(node)(change(item) for item in node)
    return {key: change(item) for key, item in node.items()} if isinstance(node, dict) else node


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Give every schema below one, itself included."""
    is_schema = _is_schema(node)
    if is_schema:
        yield node
    if isinstance(node, dict):
        node = [item for key, item in node.items() if not (is_schema and key in _DATA)]
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _nodes(item)


def refuse_secrets(schema: Any) -> None:
    """Refuse types whose values pydantic writes as asterisks.

    Raises:
        DefinitionInvalid: There is one.
    """
    for node in _nodes(schema):
        function = node.get("function")
        if getattr(function, "__module__", "") == "pydantic.types" and "secret" in getattr(
            function, "__name__", ""
        ):
            raise DefinitionInvalid(
                "a secret is written as asterisks, so the journal can not give it back. Pass what it is looked up by, "
                "and read the secret in the task."
            )


def _is_validator(node: dict[str, Any]) -> bool:
    """Tell validators, which say what they call in a map, from serializers of the same names."""
    return node.get("type") in _VALIDATOR_NODES and isinstance(node["function"], dict)


def _inner(node: dict[str, Any]) -> Any:
    """Give the schema a validator was put around, keeping a reference name others may use."""
    inner = dict(node["schema"])
    if "ref" in node and "ref" not in inner:
        inner["ref"] = node["ref"]
    if "serialization" in node and "serialization" not in inner:
        inner["serialization"] = node["serialization"]
    return inner


def _is_constraint(kind: Any, key: str) -> bool:
    return key in _CONSTRAINTS and kind in _SCALARS_WITH_CONSTRAINTS


def _validators_of_models(schema: Any) -> Iterator[int]:
    """Give the identities of the validators that models and pydantic dataclasses declare with pydantic's decorators."""
    for node in _nodes(schema):
        declared = getattr(node.get("cls"), "__pydantic_decorators__", None)
        if declared is not None:
            for group in (declared.field_validators, declared.validators, declared.model_validators):
                for decorator in group.values():
                    yield id(_function(decorator.func))


def _function(callable: Any) -> Any:
    """Give the plain function of a method, of which a class makes a new one each time it is asked."""
    return getattr(callable, "__func__", callable)
