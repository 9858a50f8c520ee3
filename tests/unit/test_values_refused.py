"""Values that do not fit are refused by name and place."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from aiki_celery.definitions.event import Event
from aiki_celery.definitions.signature import Signature
from aiki_celery.definitions.values import DEEPEST, value_type
from aiki_celery.errors import DefinitionInvalid, InputInvalid, NotJournalable, ResultInvalid, ValueRejected


class Opaque:
    """A class pydantic knows nothing of."""


class Line(BaseModel):
    """A model."""

    count: int = Field(gt=0)


class Loose(BaseModel):
    """A model that takes anything."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    parts: list[Any] = []


@dataclass
class Wrapped:
    """A dataclass that takes anything."""

    inner: Any = None


def nested(levels: int) -> list[Any]:
    """Lists within one another."""
    outermost: list[Any] = []
    for _ in range(levels - 1):
        outermost = [outermost]
    return outermost


def charge(order_id: str, lines: list[Line] = [], day: date | None = None, extra: Any = None) -> int:  # noqa: B006
    """Something to call."""
    return 1


CHARGE = Signature(charge, "charge")


@pytest.mark.parametrize(
    ("args", "kwargs", "argument", "message"),
    [
        ((1,), {}, "order_id", "charge: argument 'order_id': Input should be a valid string"),
        (
            ("o", [{"count": 0}]),
            {},
            "lines",
            "charge: argument 'lines': 0.count: Input should be greater than 0",
        ),
        (("o", [{}, {}]), {}, "lines", r"0.count: Field required \(and 1 more\)"),
        (("o",), {"day": "soon"}, "day", "charge: argument 'day': "),
        (
            (),
            {},
            "",
            "charge: the arguments: missing a required argument: 'order_id'; the signature is charge",
        ),
        (("o", [], None, 1, 2), {}, "", "charge: the arguments: too many positional arguments"),
        (("o",), {"dya": 1}, "", "charge: the arguments: got an unexpected keyword argument 'dya'"),
    ],
)
def test_input_refusal_names_definition_and_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], argument: str, message: str
) -> None:
    """The error says which argument of what, and pydantic says why."""
    with pytest.raises(InputInvalid, match=message) as caught:
        CHARGE.bind(args, kwargs)
    assert ("charge", argument) == (caught.value.definition, caught.value.argument)


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        (Opaque(), "extra"),
        ({"a": [1, Opaque()]}, "extra['a'][1]"),
        ({1: "x"}, "extra"),
        ({"n": float("nan")}, "extra['n']"),
        ((1, b"bytes"), "extra[1]"),
        (date(2026, 1, 1), "extra"),
        ({1, 2}, "extra"),
        (nested(DEEPEST + 1), "extra" + DEEPEST * "[0]"),
        (nested(20_000), "extra" + DEEPEST * "[0]"),
    ],
)
def test_argument_without_json_form_is_refused_by_its_place(extra: Any, path: str) -> None:
    """An unannotated argument must be plain JSON; the error names the place inside it, when written and when hashed."""
    with pytest.raises(NotJournalable, match=r"charge: extra.* cannot be journaled") as caught:
        CHARGE.bind(["o"], {"extra": extra})
    assert ("charge", path) == (caught.value.definition, caught.value.path)


def test_argument_without_json_form_is_refused_by_its_place_when_hashed() -> None:
    """A step's address is made before its input is written, and its error names the place as well."""
    with pytest.raises(NotJournalable) as caught:
        CHARGE.hash(CHARGE.bind_values(["o"], {"extra": {"a": Opaque()}}))
    assert ("charge", "extra['a']") == (caught.value.definition, caught.value.path)


def test_value_as_deep_as_can_be_read_is_taken() -> None:
    """What is one level deeper could be written, and never be read again."""
    deepest = nested(DEEPEST)
    assert {"order_id": "o", "extra": deepest} == CHARGE.bind_input(["o"], {"extra": deepest}).values


@pytest.mark.parametrize("levels", [DEEPEST + 1, 20_000])
@pytest.mark.parametrize("kind", [inspect.Parameter.empty, list, list[Any]])
def test_payload_from_outside_that_is_too_deep_is_refused(kind: Any, levels: int) -> None:
    """A webhook's sender is told by an error of ours, whatever the event's type."""
    definition: Event[Any] = Event("deep", value_type(kind))
    with pytest.raises(ValueRejected, match=r"^deep: "):
        definition.write_plain(nested(levels))


def test_value_that_contains_itself_is_refused() -> None:
    """A loop has no JSON form."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotJournalable, match="it contains itself"):
        CHARGE.bind(["o"], {"extra": loop})


@pytest.mark.parametrize(
    ("annotation", "value", "path"),
    [
        (Loose, Loose(parts=[1, Opaque()]), "the result.parts[1]"),
        (Wrapped, Wrapped(Opaque()), "the result.inner"),
        (list[Any], [Opaque()], "the result[0]"),
    ],
)
def test_result_without_json_form_is_refused_by_its_place(annotation: Any, value: Any, path: str) -> None:
    """What hides in a model or a dataclass is found there."""

    def produce() -> Any: ...

    produce.__annotations__ = {"return": annotation}
    with pytest.raises(NotJournalable) as caught:
        Signature(produce, "produce").write_result(value)
    assert ("produce", path) == (caught.value.definition, caught.value.path)


def test_text_that_is_no_text_is_refused() -> None:
    """Half a surrogate pair cannot be written as UTF-8, annotated or not."""

    def echo(text: str, extra: Any = None) -> None: ...

    signature = Signature(echo, "echo")
    for args in (["\ud800"], ["x", "\ud800"]):
        with pytest.raises((NotJournalable, InputInvalid), match="echo"):
            signature.bind_input(args, {})


def test_result_refusal_names_the_definition() -> None:
    """A result that does not fit the annotation is the task's error."""
    with pytest.raises(
        ResultInvalid, match=r"charge: the result does not fit the return annotation: .*integer"
    ):
        CHARGE.write_result("many")


def test_stored_result_that_cannot_be_read_says_so() -> None:
    """A journal that holds something else is told from a task that returned something else."""
    with pytest.raises(ResultInvalid, match=r"charge: .*what the journal holds cannot be read"):
        CHARGE.read_result('"many"')


def test_annotation_without_schema_is_refused_when_defined() -> None:
    """A type that could never be stored is refused when the module is imported, by the parameter's name."""

    def send(file: Opaque) -> None: ...

    send.__annotations__ = {"file": Opaque}
    with pytest.raises(
        DefinitionInvalid, match="send: parameter 'file' is of a type pydantic has no schema for"
    ):
        Signature(send, "send")
