"""What others see of a run's result: plain JSON, in the backend if there is one, in the journal always."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from celery import chain

from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import Order, Receipt, add, bill

ORDER = Order(id="o-1", amount=Decimal("12.50"), due=datetime(2030, 1, 2, tzinfo=timezone.utc))
PLAIN = {"order": {"id": "o-1", "amount": "12.50", "due": "2030-01-02T00:00:00Z"}, "total": "25.00"}


@pytest.mark.parametrize("argument", [ORDER, ORDER.model_dump(mode="json")], ids=["model", "dict"])
def test_model_goes_in_and_comes_back_as_plain_json(shop: Deployment, argument: object) -> None:
    """Celery's side is JSON; the handle's side is typed."""
    result = bill.delay(argument)
    assert PLAIN == result.get(timeout=20)
    assert Receipt(order=ORDER, total=Decimal("25.00")) == bill.handle(result.id).get(timeout=5)


def test_enqueued_model_is_typed_on_the_handle(shop: Deployment) -> None:
    """Journal-first: nothing but the id was in the message."""
    assert Receipt(order=ORDER, total=Decimal("25.00")) == bill.enqueue(ORDER).get(timeout=20)


def test_model_in_a_signature_is_plain_json(shop: Deployment, key: str) -> None:
    """Canvas carries it, and hands the plain result on."""
    told = shop.task("plain.told").s(key)
    chain(bill.s(ORDER), told).apply_async()
    eventually(lambda: shop.effects.count("told", key=key), 20, "the next link")
    assert PLAIN == shop.effects.all("told", key=key)[0]["result"]


@pytest.mark.parametrize("start", [add.delay, add.enqueue], ids=["delay", "enqueue"])
@pytest.mark.parametrize("sleep", [0.0, 0.3], ids=["straight", "suspended"])
def test_async_result_of_any_start(shop: Deployment, start: Callable[..., object], sleep: float) -> None:
    """However it was started, the backend has the result under the run's id."""
    started = start(4, 5, sleep)
    assert 9 == shop.client.AsyncResult(started.id).get(timeout=20)


def test_without_a_result_backend(embedded: Deployment, key: str) -> None:
    """The journal is enough: handles, chains and links work on the embedded broker alone."""
    embedded.worker()
    started = add.delay(1, 2, sleep=0.2)
    chain(add.s(1, 2, sleep=0.2), add.s(3), embedded.task("plain.told").s(key)).apply_async()
    assert 5 == add.enqueue(2, 3).get(timeout=20)
    eventually(lambda: embedded.effects.count("told", key=key), 20, "the chain's end")
    assert [6] == [effect["result"] for effect in embedded.effects.all("told", key=key)]
    assert 3 == add.handle(started.id).get(timeout=20)
    with pytest.raises(NotImplementedError, match="result backend"):
        started.get(timeout=1)
