"""The canonical encoding of inputs, and the hash made of it.

Two inputs share a hash exactly if they are equal values of the same types: a date differs from another date, a set
from a map, NaN from null, ``1`` from ``1.0`` from ``"1"`` from ``True``. Each value is written as a type tag, its
length and its content, so no two sequences of values can run into one another. Maps and sets are sorted by their
encoded form. Fields of models and dataclasses equal to their default are left out, so adding a field with a default
changes no hash.

The encoding has a version, stored with each run; golden vectors in the tests keep it from changing by accident.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

#: Version of the encoding; a change of any byte it produces is a new version.
ENCODING_VERSION = 1

#: Bytes of a hash (BLAKE2b, RFC 7693); 160 bits, written as 40 hexadecimal digits.
DIGEST_SIZE = 20

#: Has hashed nothing; copying it is quicker than making another.
_HASHER = hashlib.blake2b(digest_size=DIGEST_SIZE)


def hash_arguments(arguments: Mapping[str, Any]) -> str:
    """Hash named arguments, those equal to their default already left out. Gives 40 hexadecimal digits.

    Raises:
        TypeError: A value has no canonical form.
    """
    return digest(encode_map(arguments.items()))


def hash_encoded(content: bytes) -> str:
    """Hash as :func:`hash_arguments` does, from names and values that are encoded, sorted and joined already."""
    return digest(b"m%d:%b" % (len(content), content))


def digest(encoded: bytes) -> str:
    """Give the hash of an encoded value."""
    hasher = _HASHER.copy()
    hasher.update(encoded)
    return hasher.hexdigest()


def encode(value: Any) -> bytes:
    """Write one value canonically.

    Raises:
        TypeError: The value is of a type that has no canonical form.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    return _encode_other(value)


def encode_map(items: Iterable[tuple[Any, Any]], tag: bytes = b"m") -> bytes:
    """Write key-value pairs, sorted by the encoded key."""
    return _frame(
        tag, b"".join(k + v for k, v in sorted((encode(key), encode(value)) for key, value in items))
    )


def _frame(tag: bytes, content: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(content), content)


def _text(tag: bytes, convert: Callable[[Any], str] = str) -> Callable[[Any], bytes]:
    def encoder(value: Any) -> bytes:
        return _frame(tag, convert(value).encode("utf-8", "surrogatepass"))

    return encoder


def _encode_str(value: str) -> bytes:
    content = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(content), content)


def _encode_int(value: int) -> bytes:
    content = b"%d" % value
    return b"i%d:%b" % (len(content), content)


def _encode_datetime(value: datetime) -> bytes:
    # Aware moments are equal when they are the same instant, whatever their zone; naive ones are another type.
    if value.tzinfo is not None:
        with suppress(OverflowError):  # in UTC it may be before the year 1 or after 9999
            value = value.astimezone(timezone.utc)
        return _frame(b"Z", value.isoformat().encode())
    return _frame(b"D", value.isoformat().encode())


def _encode_sequence(value: Iterable[Any]) -> bytes:
    return _frame(b"l", b"".join([encode(item) for item in value]))


def _encode_set(value: Iterable[Any]) -> bytes:
    return _frame(b"S", b"".join(sorted(encode(item) for item in value)))


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"n0:",
    bool: lambda value: b"b1:1" if value else b"b1:0",
    int: _encode_int,
    float: _text(b"f", repr),
    str: _encode_str,
    bytes: lambda value: _frame(b"y", value),
    bytearray: lambda value: _frame(b"y", bytes(value)),
    Decimal: _text(b"d"),
    UUID: _text(b"u"),
    datetime: _encode_datetime,
    date: _text(b"t", date.isoformat),
    time: _text(b"h", time.isoformat),
    timedelta: lambda value: _frame(b"p", b"%d" % (value // timedelta(microseconds=1))),
    list: _encode_sequence,
    tuple: _encode_sequence,
    set: _encode_set,
    frozenset: _encode_set,
    dict: lambda value: encode_map(value.items()),
}


def _encode_other(value: Any) -> bytes:
    """Write what is not of a plain type: models, dataclasses, enums, subclasses, and what pydantic can turn to JSON."""
    if isinstance(value, BaseModel):
        return encode_map(_model_fields(value), b"o")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode_map(_dataclass_fields(value), b"o")
    if isinstance(value, Enum):
        return _frame(b"e", encode(value.value))
    if isinstance(value, PurePath):
        return _frame(b"s", str(value).encode("utf-8", "surrogatepass"))
    for kind, encoder in _ENCODERS.items():
        if isinstance(value, kind):
            return encoder(value)
    return _frame(b"j", encode(_jsonable(value)))


def _jsonable(value: Any) -> Any:
    try:
        plain = to_jsonable_python(value, inf_nan_mode="strings", bytes_mode="base64")
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from error
    if type(plain) not in _ENCODERS:
        raise TypeError(f"a value of type {type(value).__name__} has no canonical form")
    return plain


@lru_cache(maxsize=1024)
def _model_defaults(model: type[BaseModel]) -> dict[str, Callable[[], Any] | None]:
    """Give, for each field of a model, a function that makes its default, or None where it is required."""
    defaults: dict[str, Callable[[], Any] | None] = {}
    for name, field in model.model_fields.items():
        if field.is_required() or field.default_factory_takes_validated_data or _is_tag(field.annotation):
            defaults[name] = None
        else:
            defaults[name] = lambda field=field: field.get_default(call_default_factory=True)  # type: ignore[misc]
    return defaults


def _model_fields(value: BaseModel) -> Iterable[tuple[str, Any]]:
    for name, default in _model_defaults(type(value)).items():
        content = getattr(value, name)
        if default is None or not is_default(content, default()):
            yield name, content
    yield from (value.__pydantic_extra__ or {}).items()


@lru_cache(maxsize=1024)
def _dataclass_tags(kind: Any) -> frozenset[str]:
    """Give the fields of a dataclass that tell it from the other members of a union."""
    try:
        return frozenset(name for name, annotation in get_type_hints(kind).items() if _is_tag(annotation))
    except NameError:  # an annotation that is known to type checkers alone
        return frozenset()


def _is_tag(annotation: Any) -> bool:
    """Tell whether a field can have one value only, as ``kind: Literal["cat"] = "cat"`` of a discriminated union has.

    It is never left out: it is all that tells one member of the union from another with the same content.
    """
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _dataclass_fields(value: Any) -> Iterable[tuple[str, Any]]:
    tags = _dataclass_tags(value.__class__)
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if field.name in tags:
            pass
        elif field.default is not dataclasses.MISSING:
            if is_default(content, field.default):
                continue
        elif field.default_factory is not dataclasses.MISSING and is_default(
            content, field.default_factory()
        ):
            continue
        yield field.name, content


def is_default(content: Any, default: Any) -> bool:
    """Tell whether a value is its default: of the same type and content, so ``[True]`` is not ``[1]``."""
    if content is default:
        return True
    kind = type(content)
    if kind is not type(default):
        return False
    if kind in _EXACT:
        return bool(content == default)
    try:
        return encode(content) == encode(default)
    except Exception:
        return False


#: Types whose equal values have equal encodings. A float is none: ``0.0`` equals ``-0.0``, and NaN not even itself.
_EXACT = frozenset({bool, int, str, bytes, UUID, date, timedelta})
