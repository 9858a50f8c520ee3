"""What was validated when it was produced is decoded on replay, not validated again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FutureDatetime,
    NaiveDatetime,
    field_validator,
    model_validator,
)

from aiki_celery.definitions.signature import Signature

refusing: list[bool] = []


class Reminder(BaseModel):
    """A model with a time that is to come when it is made."""

    at: FutureDatetime


def no_business_of_a_class(value: str) -> str:
    """A validator that is no method of its model."""
    if refusing:
        raise ValueError("not today")
    return value


class Moody(BaseModel):
    """A model whose validators refuse once told to, as one that looks at the clock would."""

    name: str

    @field_validator("name", mode="after")
    @classmethod
    def _after(cls, value: str) -> str:
        if refusing:
            raise ValueError("not today")
        return value

    @field_validator("name", mode="before")
    @classmethod
    def _before(cls, value: Any) -> Any:
        if refusing:
            raise ValueError("not today")
        return value

    @field_validator("name", mode="after")
    @staticmethod
    def _static(value: str) -> str:
        return no_business_of_a_class(value)

    @field_validator("name", mode="wrap")
    @classmethod
    def _wrap(cls, value: Any, handler: Any) -> Any:
        return no_business_of_a_class(handler(value))

    @model_validator(mode="before")
    @classmethod
    def _raw(cls, value: Any) -> Any:
        return no_business_of_a_class(value)

    @model_validator(mode="after")
    def _whole(self) -> Moody:
        if refusing:
            raise ValueError("not today")
        return self


def returning(annotation: Any) -> Signature:
    """The signature of a function that returns this."""

    def function() -> Any: ...

    function.__annotations__ = {"return": annotation}
    return Signature(function, "produce")


@pytest.fixture
def make_refuse() -> Any:
    """Makes the validators refuse."""
    yield lambda: refusing.append(True)
    refusing.clear()


def test_validators_do_not_run_on_read(make_refuse: Any) -> None:
    """A validator that refuses by now breaks no run in flight."""
    signature = returning(list[Moody])
    text, _ = signature.write_result([Moody(name="Ann")])
    make_refuse()
    assert ["Ann"] == [model.name for model in signature.read_result(text)]


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (int, Annotated[int, Field(gt=100)], 5),
        (str, Annotated[str, Field(max_length=2)], "long"),
        (str, Annotated[str, Field(pattern="^x$")], "y"),
        (list[int], Annotated[list[int], Field(min_length=5)], [1]),
        (set[str], Annotated[set[str], Field(max_length=1)], {"a", "b"}),
        (float, Annotated[float, Field(multiple_of=2)], 3.0),
        (datetime, NaiveDatetime, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        (dict[str, int], dict[Annotated[str, Field(min_length=9)], Annotated[int, Field(le=0)]], {"k": 1}),
    ],
)
def test_constraints_tightened_since_do_not_matter(before: Any, after: Any, value: Any) -> None:
    """A deploy that tightens a constraint leaves recorded results readable."""
    text, _ = returning(before).write_result(value)
    assert value == returning(after).read_result(text)


@pytest.mark.parametrize(
    "annotation",
    [
        FutureDatetime,
        list[FutureDatetime],
        FutureDatetime | str,
        Reminder,
        Reminder | str,
        Annotated[FutureDatetime, Field(gt=datetime(2020, 1, 1, tzinfo=timezone.utc))],
    ],
)
def test_instant_that_has_passed_since_is_read_as_what_it_was(annotation: Any) -> None:
    """Waiting until a time that was to come is what a run does, and then it has come."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.05)
    value = {list[FutureDatetime]: [soon], Reminder: {"at": soon}, Reminder | str: {"at": soon}}.get(
        annotation, soon
    )
    signature = returning(annotation)
    text, first = signature.write_result(value)
    while datetime.now(timezone.utc) <= soon:
        pass
    assert first == signature.read_result(text)


def test_model_constraints_tightened_since_do_not_matter() -> None:
    """The same inside a model, one that forbids extras now and has lost a field."""

    class Before(BaseModel):
        """As it was."""

        count: int
        gone: str = "x"

    class After(BaseModel):
        """As it is."""

        model_config = ConfigDict(extra="forbid")
        count: int = Field(gt=100)
        added: str = "default"

    text, _ = returning(Before).write_result(Before(count=1))
    read = returning(After).read_result(text)
    assert (1, "default") == (read.count, read.added)


def test_parameter_gone_since_is_dropped() -> None:
    """A run that was started with an argument the code no longer takes goes on without it."""

    def before(a: int, b: int) -> None: ...
    def after(b: int) -> None: ...

    text = Signature(before, "w").bind([1, 2], {}).text
    assert {"b": 2} == Signature(after, "w").read(text)
