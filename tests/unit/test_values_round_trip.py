"""Every supported type comes back from the journal as what it was, as an argument and as a result."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field, field_validator
from typing_extensions import TypedDict

from aiki_celery.definitions.signature import Signature

T = TypeVar("T")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DATETIMES = st.datetimes(timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30))]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=4)


class Color(enum.Enum):
    """An enum."""

    RED = "red"
    BLUE = 2


class Line(BaseModel):
    """A model with constraints, bytes and a validator."""

    sku: str = Field(max_length=20)
    count: int = Field(ge=0, default=1)
    blob: bytes = b""

    @field_validator("sku")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()


class Order(BaseModel):
    """A model with aliases, a computed field, no extras allowed, and models inside."""

    model_config = ConfigDict(extra="forbid")

    id: UUID = Field(alias="orderId")
    lines: list[Line] = Field(validation_alias=AliasChoices("lines", "items"), serialization_alias="Lines")
    placed: datetime
    by_day: dict[date, Decimal] = {}
    parent: Order | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        """How many lines."""
        return len(self.lines)


class Box(BaseModel, Generic[T]):
    """A generic model."""

    content: T


@dataclass
class Point:
    """A dataclass."""

    x: float
    y: float = 0.0
    seen: set[date] = field(default_factory=set)


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


class Options(TypedDict, total=False):
    """A typed dict."""

    depth: int
    when: date


LINES = st.builds(Line, sku=TEXT.map(str.strip), count=st.integers(0, 2**70), blob=st.binary())
ORDERS = st.builds(
    lambda id, lines, placed, by_day, parent: Order(
        orderId=id, lines=lines, placed=placed, by_day=by_day, parent=parent
    ),
    st.uuids(),
    st.lists(LINES, max_size=3),
    DATETIMES,
    st.dictionaries(st.dates(), DECIMALS, max_size=2),
    st.none(),
)
FLOATS = st.floats(allow_nan=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)

#: Annotation and values of it.
TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "none": (None, st.none()),
    "bool": (bool, st.booleans()),
    "int": (int, st.integers()),
    "float": (float, FLOATS),
    "str": (str, TEXT),
    "bytes": (bytes, st.binary()),
    "decimal": (Decimal, DECIMALS),
    "uuid": (UUID, st.uuids()),
    "datetime aware": (datetime, DATETIMES),
    "datetime naive": (datetime, st.datetimes()),
    "date": (date, st.dates()),
    "time": (time, st.times()),
    "timedelta": (timedelta, st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999))),
    "enum": (Color, st.sampled_from(Color)),
    "literal": (Literal["a", 1], st.sampled_from(["a", 1])),
    "list": (list[bytes], st.lists(st.binary(), max_size=3)),
    "set": (set[date], st.sets(st.dates(), max_size=3)),
    "frozenset": (frozenset[int], st.frozensets(st.integers(), max_size=3)),
    "tuple": (tuple[int, str], st.tuples(st.integers(), TEXT)),
    "tuple of any length": (tuple[Decimal, ...], st.lists(DECIMALS, max_size=3).map(tuple)),
    "dict": (dict[str, datetime], st.dictionaries(TEXT, DATETIMES, max_size=3)),
    "dict of integers": (dict[int, float], st.dictionaries(st.integers(), FLOATS, max_size=3)),
    "dict of dates": (dict[date, bytes], st.dictionaries(st.dates(), st.binary(), max_size=3)),
    "optional": (Decimal | None, st.none() | DECIMALS),
    "union": (int | str | None, st.none() | st.integers() | TEXT),
    "union of models": (Line | Box[int], LINES | st.builds(Box[int], content=st.integers())),
    "model": (Order, ORDERS),
    "model in a model": (Order, st.builds(lambda o, p: o.model_copy(update={"parent": p}), ORDERS, ORDERS)),
    "generic model": (Box[Point], st.builds(lambda x: Box[Point](content=Point(x)), FLOATS)),
    "dataclass": (Point, st.builds(Point, FLOATS, FLOATS, st.sets(st.dates(), max_size=2))),
    "named tuple": (Pair, st.builds(Pair, st.integers(), TEXT)),
    "typed dict": (Options, st.fixed_dictionaries({}, optional={"depth": st.integers(), "when": st.dates()})),
    "plain": (
        Any,
        st.recursive(st.none() | st.booleans() | st.integers() | FINITE | TEXT, st.lists, max_leaves=5),
    ),
}


def signature_of(annotation: Any) -> Signature:
    """The signature of `(value: annotation) -> annotation`."""

    def function(value: Any) -> Any: ...

    function.__annotations__ = {"value": annotation, "return": annotation}
    return Signature(function, "echo")


SIGNATURES = {name: signature_of(annotation) for name, (annotation, _) in TYPES.items()}


def typed(value: Any) -> tuple[type, Any]:
    """A value with its type, since `True == 1` and `1 == 1.0`."""
    return type(value), value


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_argument_round_trip(name: str, data: st.DataObject) -> None:
    """What is bound and read back is what was given, with the same hash."""
    value, signature = data.draw(TYPES[name][1]), SIGNATURES[name]
    bound = signature.bind([value], {})
    read = signature.read(bound.text)
    assert (typed(value), signature.hash(bound.values)) == (typed(read["value"]), signature.hash(read))


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_result_round_trip(name: str, data: st.DataObject) -> None:
    """The workflow sees the first time what it sees on replay, and that is what the task returned."""
    value, signature = data.draw(TYPES[name][1]), SIGNATURES[name]
    text, first = signature.write_result(value)
    assert (typed(value), typed(value)) == (typed(first), typed(signature.read_result(text)))


@pytest.mark.parametrize("special", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("annotation", [float, float | None, list[float]], ids=str)
def test_nan_and_infinities_round_trip(annotation: Any, special: float) -> None:
    """Numbers JSON does not have come back all the same, from wherever they are in the value."""
    value: Any = [special] if annotation == list[float] else special
    read = signature_of(annotation).write_result(value)[1]
    found = read[0] if isinstance(read, list) else read
    assert math.isnan(found) if math.isnan(special) else found == special


def test_variadic_arguments_round_trip() -> None:
    """`*args` and `**kwargs` keep their types and places."""

    def pay(first: int, *more: date, last: bytes, **rest: Decimal) -> None: ...

    signature = Signature(pay, "pay")
    bound = signature.bind([1, date(2026, 1, 1), date(2026, 1, 2)], {"last": b"\xff", "x": Decimal("1.50")})
    expected = ((1, date(2026, 1, 1), date(2026, 1, 2)), {"last": b"\xff", "x": Decimal("1.50")})
    assert expected == signature.call_form(signature.read(bound.text))
