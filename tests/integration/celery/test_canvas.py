"""Workflows in every position of a canvas, with and without a suspension in between."""

from __future__ import annotations

import pytest
from celery import chain, chord, group

from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import add, total

with_and_without_sleep = pytest.mark.parametrize("sleep", [0.0, 0.3], ids=["straight", "suspended"])


@with_and_without_sleep
def test_chain_with_workflows_in_every_position(shop: Deployment, sleep: float) -> None:
    """First, in the middle and last, each given what came before it."""
    plain = shop.task("plain.add")
    first = chain(add.s(1, 2, sleep=sleep), plain.s(10)).apply_async()
    middle = chain(plain.s(1, 2), add.s(10, sleep=sleep), plain.s(100)).apply_async()
    last = chain(plain.s(1, 2), add.s(10, sleep=sleep)).apply_async()
    alone = chain(add.s(1, 2, sleep=sleep), add.s(3, sleep=sleep), add.s(4, sleep=sleep)).apply_async()
    assert [13, 113, 13, 10] == [result.get(timeout=20) for result in (first, middle, last, alone)]
    assert 6 == alone.parent.get(timeout=5)
    assert 3 == alone.parent.parent.get(timeout=5)


@with_and_without_sleep
def test_chain_hands_nothing_to_an_immutable_signature(shop: Deployment, sleep: float) -> None:
    """`si` takes its own arguments alone."""
    assert 7 == chain(add.s(1, 1, sleep=sleep), add.si(3, 4, sleep=sleep)).apply_async().get(timeout=20)


def test_partial_arguments_are_completed_by_the_call(shop: Deployment) -> None:
    """As for any Celery signature."""
    assert 5 == add.s(y=2).apply_async((3,)).get(timeout=20)
    assert 5 == add.s(2).clone((3,)).delay().get(timeout=20)


@with_and_without_sleep
def test_group_gives_results_in_order(shop: Deployment, sleep: float) -> None:
    """Workflows and plain tasks side by side."""
    plain = shop.task("plain.add")
    result = group([*(add.s(n, 1, sleep=sleep) for n in range(5)), plain.s(10, 1)]).apply_async()
    assert [1, 2, 3, 4, 5, 11] == result.get(timeout=20)


@with_and_without_sleep
@pytest.mark.parametrize("position", ["header", "body", "both"])
def test_chord_with_workflows(shop: Deployment, position: str, sleep: float) -> None:
    """In the header, as the body, and both."""
    plain_add, plain_sum = shop.task("plain.add"), shop.task("plain.sum")
    header = [plain_add.s(n, 1) if position == "body" else add.s(n, 1, sleep=sleep) for n in range(4)]
    body = plain_sum.s() if position == "header" else total.s(sleep=sleep)
    assert 10 == chord(header)(body).get(timeout=20)


@with_and_without_sleep
def test_nested_canvas(shop: Deployment, sleep: float) -> None:
    """A chord in a chain, chains in a header, a group that a chain upgrades to a chord."""
    plain, summed = shop.task("plain.add"), shop.task("plain.sum")
    step = add.s(1, sleep=sleep)
    result = chain(
        add.s(1, 1, sleep=sleep),
        chord([chain(step, plain.s(10)), add.s(100, sleep=sleep)], total.s(sleep=sleep)),
        group(add.s(1, sleep=sleep), add.s(2, sleep=sleep)),
        summed.s(),
        add.s(1000, sleep=sleep),
    ).apply_async()
    inner = (2 + 1 + 10) + (2 + 100)
    assert (inner + 1) + (inner + 2) + 1000 == result.get(timeout=30)


@with_and_without_sleep
def test_callback_of_a_chain_is_told_once(shop: Deployment, key: str, sleep: float) -> None:
    """A link on a chain belongs to its last member."""
    canvas = chain(add.s(1, 2, sleep=sleep), add.s(3, sleep=sleep))
    canvas.link(shop.task("plain.told").s(key))
    canvas.apply_async()
    eventually(lambda: shop.effects.count("told", key=key), 20, "the callback")
    assert [6] == [effect["result"] for effect in shop.effects.all("told", key=key)]


def test_canvas_of_a_stranger_names_workflows(shop: Deployment) -> None:
    """An app without Aiki builds the same canvas from names."""
    stranger = shop.new_client()
    name = stranger.signature
    result = chain(
        name("add", (1, 2)), name("plain.add", (3,)), name("add", (4,), {"sleep": 0.2})
    ).apply_async()
    assert 10 == result.get(timeout=20)
    header = [name("add", (n, 1), {"sleep": 0.2}) for n in range(3)]
    assert 6 == chord(header, name("total", app=stranger), app=stranger).apply_async().get(timeout=20)
    stranger.close()
