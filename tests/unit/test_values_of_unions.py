"""A value of a union comes back as the member it was, or is refused before anybody relies on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, field_validator

from aiki_celery.definitions.signature import Signature
from aiki_celery.errors import NotJournalable

NIL = "00000000-0000-0000-0000-000000000000"


class Small(BaseModel):
    """Told from the next one by a constraint alone."""

    n: int = Field(lt=10)


class Big(BaseModel):
    """See above."""

    n: int = Field(ge=10)


class Cheap(BaseModel):
    """Told from the next one by its own validator alone."""

    price: int

    @field_validator("price")
    @classmethod
    def check(cls, price: int) -> int:
        """Refuse what is dear."""
        if price > 10:
            raise ValueError("not cheap")
        return price


class Dear(BaseModel):
    """See above."""

    price: int


class Strict(BaseModel):
    """Told from the next one by what it forbids."""

    model_config = {"extra": "forbid"}
    a: int


class Open(BaseModel):
    """See above."""

    model_config = {"extra": "allow"}
    a: int


class Node(BaseModel):
    """Refers to itself from within a union."""

    below: Node | Small | Big | None = None
    beside: list[Small] = []


def came_back(annotation: Any, value: Any) -> Any:
    """What a result is on a replay."""

    def produce() -> Any: ...

    produce.__annotations__ = {"return": annotation}
    return Signature(produce, "produce").write_result(value)[1]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Small | Big, Big(n=20)),
        (Small | Big, Small(n=2)),
        (Cheap | Dear, Dear(price=20)),
        (Cheap | Dear, Cheap(price=2)),
        (Strict | Open, Open(a=1, b=2)),  # type: ignore[call-arg]
        (list[Small | Big] | None, [Big(n=20), Small(n=2)]),
        (Node, Node(below=Node(below=Big(n=20)), beside=[Small(n=1)])),
        (float | int, 1.0),
        (int | str, "1"),
    ],
)
def test_member_of_a_union_comes_back_as_itself(annotation: Any, value: Any) -> None:
    """What tells the members apart is looked at when a value is read, too."""
    back = came_back(annotation, value)
    assert (type(value), value, repr(value)) == (type(back), back, repr(back))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (bytes | str, "abc"),
        (str | bytes, b"abc"),
        (dict[int | str, int], {1: 1, "1": 2}),
        (list[int] | tuple[int, ...], (1, 2)),
    ],
)
def test_member_that_would_come_back_as_another_is_refused(annotation: Any, value: Any) -> None:
    """JSON has one form for both, so the first run of the code says so, not the first crash."""
    with pytest.raises(NotJournalable, match=r"produce: the result .*read back as .*discriminator"):
        came_back(annotation, value)


def test_started_call_is_refused_as_well() -> None:
    """Whoever works on it reads it from the journal; a call in the same process does not."""

    def work(content: bytes | str) -> None: ...

    signature = Signature(work, "work")
    values = signature.bind_values(["abc"], {})
    assert {"content": "abc"} == values
    with pytest.raises(NotJournalable, match=r"work: content .*read back as"):
        signature.check_readable(values)
    signature.check_readable(signature.bind_values([b"abc"], {}))


def test_text_may_come_back_as_what_it_is_the_text_of() -> None:
    """Nothing is lost by that, and whether it happens depends on the text: it would be refused out of the blue."""
    assert [UUID(NIL), "x"] == [came_back(UUID | str, text) for text in (NIL, "x")]


def test_constraint_tightened_since_does_not_matter_in_a_union_either() -> None:
    """What no member takes any more is read without the constraints."""

    def before() -> Any: ...

    def after() -> Any: ...

    class Smaller(BaseModel):
        n: int = Field(lt=2)

    before.__annotations__ = {"return": Small | str}
    after.__annotations__ = {"return": Smaller | str}
    text, _ = Signature(before, "f").write_result(Small(n=5))
    back = Signature(after, "f").read_result(text)
    assert (Smaller, 5) == (type(back), back.n)
