"""Whether a value that was read back is the one that was written, in all its parts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel


def is_same(value: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types, in all their parts.

    Text counts as the same as what is written as that text: under ``UUID | str``, a text that looks like a UUID is read
    as one. What cannot be compared, because its class does not say what is equal, counts as the same.
    """
    if type(value) is not type(other):
        return (type(value) is str and _is_text(other)) or (type(other) is str and _is_text(value))
    if isinstance(value, BaseModel):
        extra = value.__pydantic_extra__, other.__pydantic_extra__
        return is_same(*extra) and all(
            is_same(getattr(value, name), getattr(other, name)) for name in type(value).model_fields
        )
    if is_dataclass(value):
        return all(is_same(getattr(value, f.name), getattr(other, f.name)) for f in fields(value))
    if isinstance(value, dict):
        return is_same(list(value.items()), list(other.items()))
    if isinstance(value, (list, tuple)):
        return len(value) == len(other) and all(map(is_same, value, other))
    if isinstance(value, (set, frozenset)):
        return bool(value == other) and _with_types(value) == _with_types(other)
    return bool(value == other or value != value or not _says_what_is_equal(value))


def _is_text(value: Any) -> bool:
    """Tell whether a value is written as the text that it is: not in another form, as bytes are."""
    return not isinstance(value, (int, float, Collection, BaseModel)) and not is_dataclass(value)


def _with_types(values: Collection[Any]) -> set[tuple[type, Any]]:
    return {(type(item), item) for item in values}


def _says_what_is_equal(value: object) -> bool:
    return any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
