"""L27: a message sent inside a transaction that rolls back, or lost between commit and sending; a run does neither."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Lab
from tests.acceptance.transactions.seller import DIED
from tests.acceptance.transactions.tables import make_tables, orders
from tests.harness.eventually import eventually

APP = "tests.acceptance.transactions.app"

#: Where the seller dies or gives up, and whether the order is there then.
POINTS = {
    "rolls back": False,
    "before the commit": False,
    "at the commit": False,
    "after the commit": True,
    "after the message": True,
    "nowhere": True,
}


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def sell(*sales: tuple[str, str, str]) -> None:
    """Has orders sold by other processes: how, which, and where the process dies."""
    module = [sys.executable, "-m", "tests.acceptance.transactions.seller"]
    sellers = [subprocess.Popen([*module, *sale], cwd=Path(__file__).parents[3]) for sale in sales]
    for sale, seller in zip(sales, sellers, strict=True):
        assert seller.wait(30) == (0 if sale[2] in ("rolls back", "nowhere") else DIED), sale


def shipped(lab: Lab, how: str = "shipped") -> list[str]:
    """The orders that were shipped, once for each time."""
    return sorted(effect["order"] for effect in lab.effects.all(how))


def test_plain_celery_ships_what_was_not_sold_and_loses_what_was(lab: Lab) -> None:
    """A phantom where it sends inside the transaction, and a lost task where it sends after the commit."""
    engine = make_tables(lab.journal)
    lab.start_worker(APP)
    sell(("inside", "phantom", "rolls back"), ("after", "lost", "after the commit"))
    sell(("after", "marker", "nowhere"))
    eventually(lambda: "marker" in shipped(lab, "shipped plainly"), 10, "a later task")
    assert ["marker", "phantom"] == shipped(lab, "shipped plainly")
    assert {"lost", "marker"} == orders(engine)
    engine.dispose()


def test_a_run_is_shipped_exactly_if_its_order_is_there(any_lab: Lab, at_rest: Callable[..., object]) -> None:
    """At every point between the two; where the message was never sent, a worker's sweep sends it."""
    engine = make_tables(any_lab.journal)
    any_lab.start_worker(APP)
    sell(*(("joined", point, point) for point in POINTS))
    sold = sorted(point for point, is_sold in POINTS.items() if is_sold)
    assert set(sold) == orders(engine)
    eventually(lambda: shipped(any_lab) == sold, 15, "every order to be shipped")
    at_rest(any_lab)
    assert sold == shipped(any_lab)
    engine.dispose()
