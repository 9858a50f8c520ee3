"""What Celery tasks return, as their workflows see it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from datetime import datetime, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple

import pytest

from aiki_celery.definitions.adopted import AdoptedTask, PlainResult
from aiki_celery.errors import NotJournalable


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: int


class Level(IntEnum):
    """A number with names."""

    HIGH = 2


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, None),
        ("grün", "grün"),
        ((1, [2.5, True]), [1, [2.5, True]]),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, x=[Pair(1, 2)]), {"x": [[1, 2]]}),
        ([Level.HIGH], [2]),
        (2**70, 2**70),
    ],
)
def test_results_are_what_their_json_says(value: Any, seen: Any) -> None:
    """As Celery's JSON serializer would pass them on."""
    result = PlainResult("add")
    assert seen == result.read_result(result.write_result(value))


RING: list[Any] = []
RING.append(RING)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Decimal("1.5"), "the result"),
        ({"lines": [{"at": datetime(2024, 1, 1, tzinfo=timezone.utc)}]}, "the result['lines'][0]['at']"),
        ({(1, 2): 3}, "the result"),
        ([1.0, float("nan")], "the result[1]"),
        ({"of": {1, 2}}, "the result['of']"),
        ("\ud800", "the result"),
    ],
)
def test_what_has_no_json_form_is_named(value: Any, place: str) -> None:
    """With its place."""
    with pytest.raises(NotJournalable) as caught:
        PlainResult("add").write_result(value)
    assert ("add", place) == (caught.value.definition, caught.value.path)


def test_a_result_that_contains_itself_is_refused() -> None:
    """And not looked through for ever."""
    with pytest.raises(NotJournalable):
        PlainResult("add").write_result(RING)


def test_an_adopted_task_has_no_policy_of_ours() -> None:
    """L35: one try, and no declared errors."""
    settings = AdoptedTask("add").settings
    assert ((), False, None) == (settings.raises, settings.at_most_once, settings.timeout)
    assert settings.retry.plan is not None
    assert "never" == settings.retry.plan.model_dump()["type"]
