"""The inputs of the golden hash vectors, by the names under which `test_canonical_vectors` has their hashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from aiki_celery.model.canonical import hash_arguments

UTC = timezone.utc
CET = timezone(timedelta(hours=1))


class Color(Enum):
    """An enum of strings."""

    RED = "red"


class Line(BaseModel):
    """A model with a default."""

    sku: str
    count: int = 1


class Cat(BaseModel):
    """A member of a discriminated union."""

    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"] = "dog"
    name: str


@dataclass
class Point:
    """A dataclass with defaults of both sorts."""

    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


#: One value each; no two are the same input.
VECTORS: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "integer 0": 0,
    "integer 1": 1,
    "integer -1": -1,
    "integer 10**30": 10**30,
    "float 0.0": 0.0,
    "float -0.0": -0.0,
    "float 1.0": 1.0,
    "float 0.1": 0.1,
    "float NaN": float("nan"),
    "float infinity": float("inf"),
    "float -infinity": float("-inf"),
    "text empty": "",
    "text 1": "1",
    "text null": "null",
    "text NaN": "nan",
    "text red": "red",
    "text accent composed": "\u00e9",
    "text accent combined": "e\u0301",
    "bytes empty": b"",
    "bytes 1": b"1",
    "decimal 1": Decimal("1"),
    "decimal 1.0": Decimal("1.0"),
    "decimal NaN": Decimal("NaN"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "uuid as text": "12345678-1234-5678-1234-567812345678",
    "date 2026-01-01": date(2026, 1, 1),
    "date 2026-01-02": date(2026, 1, 2),
    "date as text": "2026-01-01",
    "datetime naive midnight": datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
    "datetime aware midnight": datetime(2026, 1, 1, tzinfo=UTC),
    "datetime aware microsecond later": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "datetime aware in another zone": datetime(2026, 1, 1, tzinfo=CET),
    "time": time(0, 0),
    "time aware": time(0, 0, tzinfo=UTC),
    "duration 0": timedelta(0),
    "duration 1 us": timedelta(microseconds=1),
    "duration 1 day": timedelta(days=1),
    "list empty": [],
    "list of 1": [1],
    "list of true": [True],
    "list of text 1": ["1"],
    "list 1 2": [1, 2],
    "list 2 1": [2, 1],
    "list of lists 1": [[1], [2]],
    "list of lists 2": [[1, 2]],
    "list of lists 3": [[], [1, 2]],
    "set empty": set(),
    "set 1 2": {1, 2},
    "map empty": {},
    "map a": {"a": 1},
    "map a null": {"a": None},
    "map a b": {"a": 1, "b": 2},
    "map b a": {"a": 2, "b": 1},
    "map of integer key": {1: "a"},
    "map of text key": {"1": "a"},
    "enum red": Color.RED,
    "path": PurePosixPath("/srv/files"),
    "model with its default": Line(sku="x"),
    "model with another value": Line(sku="x", count=2),
    "model as map": {"sku": "x"},
    "union cat": Cat(name="Kim"),
    "union dog": Dog(name="Kim"),
    "dataclass with its defaults": Point(1.0),
    "dataclass with a minus zero": Point(1.0, -0.0),
    "dataclass with another value": Point(1.0, tags=["a"]),
}

#: Pairs of spellings of one input.
SAME: dict[str, tuple[Any, Any]] = {
    "set order": ({"a", "b", "c"}, {"c", "b", "a"}),
    "set and frozenset": ({1, 2}, frozenset({2, 1})),
    "map order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "list and tuple": ([1, 2], (1, 2)),
    "bytes and bytearray": (b"ab", bytearray(b"ab")),
    "one instant in two zones": (datetime(2026, 1, 1, 1, tzinfo=CET), datetime(2026, 1, 1, tzinfo=UTC)),
    "model default given and left out": (Line(sku="x", count=1), Line(sku="x")),
    "dataclass default given and left out": (Point(1.0, 0.0, []), Point(1.0)),
    "every NaN": (float("nan"), float("nan") * 2),
}


def digest(value: Any) -> str:
    """The hash of one argument with this value."""
    return hash_arguments({"value": value})
