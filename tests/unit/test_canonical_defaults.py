"""What equals its default is left out of the hash, so that adding it disturbs no run in flight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, Field

from aiki_celery.definitions.signature import Signature
from aiki_celery.errors import NotJournalable
from aiki_celery.model.canonical import hash_arguments, is_default


def hash_of(function: Any, *args: Any, **kwargs: Any) -> str:
    """The hash of a call."""
    signature = Signature(function, "charge")
    return signature.hash(signature.bind_values(args, kwargs))


class OrderBefore(BaseModel):
    """A model as it was."""

    id: str


class OrderAfter(BaseModel):
    """The model with fields added."""

    id: str
    priority: int = 0
    notes: list[str] = Field(default_factory=list)
    inner: OrderBefore | None = None


def test_parameter_added_with_a_default_changes_no_hash() -> None:
    """A run in flight finds its steps after a parameter was added."""

    def before(order_id: str) -> None: ...
    def after(order_id: str, currency: str = "EUR", *extra: int, dry: bool = False, **more: str) -> None: ...

    assert hash_of(before, "o1") == hash_of(after, "o1") == hash_of(after, "o1", "EUR", dry=False)


def test_parameter_with_another_value_changes_the_hash() -> None:
    """What differs from the default counts."""

    def pay(order_id: str, currency: str = "EUR", *extra: int, **more: str) -> None: ...

    calls = [
        hash_of(pay, "o1"),
        hash_of(pay, "o1", "USD"),
        hash_of(pay, "o1", "EUR", 1),
        hash_of(pay, "o1", a="b"),
    ]
    assert 4 == len(set(calls))


def test_field_added_with_a_default_changes_no_hash() -> None:
    """The same for fields of models, whatever sort of default they have."""
    assert hash_arguments({"order": OrderBefore(id="o1")}) == hash_arguments({"order": OrderAfter(id="o1")})


def test_positional_and_keyword_calls_share_a_hash() -> None:
    """How an argument is passed is no part of the input."""

    def pay(order_id: str, amount: int) -> None: ...

    assert hash_of(pay, "o1", 2) == hash_of(pay, amount=2, order_id="o1")


def test_hash_is_of_the_validated_value() -> None:
    """What pydantic makes of an argument is hashed, so that `"2"` for an int is 2."""

    def pay(amount: int) -> None: ...

    assert hash_of(pay, "2") == hash_of(pay, 2)


@pytest.mark.parametrize(
    ("content", "default", "expected"),
    [
        (1, 1, True),
        (1, True, False),
        (1, 1.0, False),
        ([1], [True], False),
        ({"a": 1}, {"a": 1.0}, False),
        (-0.0, 0.0, False),
        (float("nan"), float("nan") * 1, True),
        (None, None, True),
        (OrderAfter(id="1"), OrderAfter(id="1", priority=0), True),
        (OrderAfter(id="1"), OrderAfter(id="1", priority=2), False),
    ],
)
def test_is_default_compares_types_and_contents(content: Any, default: Any, expected: bool) -> None:
    """A value that only equals the default by Python's leave is another value."""
    assert expected == is_default(content, default)


def test_dataclass_with_unknown_annotations_is_hashed() -> None:
    """An annotation only type checkers know keeps no dataclass from being hashed."""

    @dataclass
    class Loose:
        """A dataclass."""

        x: NotThere  # type: ignore[name-defined] # noqa: F821
        y: int = 2

    assert hash_arguments({"p": Loose(1)}) == hash_arguments({"p": Loose(1, 2)})


def test_hash_of_a_value_without_a_form_names_the_definition() -> None:
    """The error says which task was called."""

    def pay(what: Any) -> None: ...

    with pytest.raises(NotJournalable, match="charge"):
        Signature(pay, "charge").hash({"what": object()})


@pytest.mark.parametrize(("moment", "hours"), [(datetime(1, 1, 1), 5), (datetime(9999, 12, 31, 23), -5)])  # noqa: DTZ001
def test_hash_of_a_datetime_that_utc_does_not_have(moment: datetime, hours: int) -> None:
    """The first and last moments of Python's calendar have a hash in every zone."""
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert hash_arguments({"at": aware}) != hash_arguments({"at": moment})
