"""Events and cancels in the caller's own transaction: they count exactly if it commits, and wake the run after that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from aiki_celery import RunFinished, RunNotFound, WorkflowHandle, WorkflowRun, event, workflow
from aiki_celery.engine.ports import Forever
from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import EventSent
from aiki_celery.settings import AikiSettings
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.joining import Order, Shop, opened
from tests.contract.rows import age, run_row
from tests.contract.stories import ALICE

paid = event("paid-in-transaction", str)


@workflow(name="wait-for-payment")
def await_payment(run: WorkflowRun) -> str:
    return run.wait_for(paid)


@pytest.fixture(scope="module")
def shared_shop(database_url: str) -> Iterator[Shop]:
    """The shop, once per database."""
    Journal(AikiSettings(journal=database_url)).upgrade()
    with opened(database_url) as shop:
        yield shop


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    """The shop, with nothing in it."""
    shared_shop.wipe()
    return shared_shop


def step_on(shop: Shop, run_id: str) -> str | None:
    """Does one pass of a run; gives the state it was left in."""
    executor = shop.aiki.binding.executor
    taken = executor.claim(run_id, ALICE)
    assert taken is not None
    outcome = executor.run(await_payment, *taken, Forever(), told=True)
    return outcome.status


def waiting(shop: Shop) -> WorkflowHandle[str]:
    """A run that waits for the event."""
    handle = await_payment.enqueue()
    assert "awaiting_event" == step_on(shop, handle.id)
    shop.broker.sent.clear()
    return handle


def test_an_event_counts_and_wakes_after_the_commit(shop: Shop) -> None:
    """Before it, nobody sees the event; after it, the run's message is sent, and it goes on."""
    handle = waiting(shop)
    with shop.session() as session:
        session.add(Order(id="o-1"))
        assert handle.send(paid, "cash", id="p-1", session=session)
        assert not handle.send(paid, "cash", id="p-1", session=session)
        assert [] == shop.broker.sent
        session.commit()
    assert ([handle.id], {"o-1"}) == (shop.broker.sent, shop.orders())
    assert ("completed", "cash") == (step_on(shop, handle.id), handle.get(timeout=0))


def test_an_event_of_a_transaction_that_rolls_back_was_never_sent(shop: Shop) -> None:
    """The run waits on, and the same id counts later."""
    handle = waiting(shop)
    with shop.session() as session:
        handle.send(paid, "cash", id="p-1", session=session)
        session.rollback()
        assert ("awaiting_event", []) == (run_row(shop.journal, handle.id).status, shop.broker.sent)
        assert handle.send(paid, "card", id="p-1", session=session)
        session.commit()
    step_on(shop, handle.id)
    assert "card" == handle.get(timeout=0)


def test_an_event_of_a_savepoint_that_rolls_back_wakes_nobody(shop: Shop) -> None:
    """The transaction commits without it."""
    handle = waiting(shop)
    with shop.session() as session:
        nested = session.begin_nested()
        handle.send(paid, "cash", session=session)
        nested.rollback()
        session.commit()
    assert ("awaiting_event", []) == (run_row(shop.journal, handle.id).status, shop.broker.sent)


def test_a_wake_up_whose_process_dies_after_the_commit_is_a_sweeps(shop: Shop) -> None:
    """The run is queued as not published, so a sweep sends its message soon."""
    handle = waiting(shop)
    shop.broker.is_down = True
    with shop.session() as session:
        handle.send(paid, "cash", session=session)
        session.commit()
    shop.broker.is_down = False
    assert ("queued", None) == (
        run_row(shop.journal, handle.id).status,
        run_row(shop.journal, handle.id).published_at,
    )
    age(shop.journal, handle.id, 2)
    Redelivery(shop.aiki.binding.sweep_context()).sweep()
    assert [handle.id] == shop.broker.sent


def test_a_refused_event_leaves_the_transaction_as_it_is(shop: Shop) -> None:
    """Of a run that is over, or unknown."""
    handle = waiting(shop)
    handle.send(paid, "cash")
    step_on(shop, handle.id)
    with shop.session() as session:
        session.add(Order(id="o-1"))
        with pytest.raises(RunFinished):
            handle.send(paid, "again", session=session)
        with pytest.raises(RunNotFound):
            await_payment.handle("nobody").send(paid, "cash", session=session)
        session.commit()
    assert {"o-1"} == shop.orders()


def test_an_event_to_a_run_that_the_same_transaction_started(shop: Shop) -> None:
    """Start and event are one: the run finds the event when it comes to wait."""
    with shop.session() as session:
        handle = await_payment.options(session=session).enqueue()
        handle.send(paid, "cash", session=session)
        session.commit()
    assert ("completed", [handle.id]) == (step_on(shop, handle.id), shop.broker.sent)


def test_hooks_hear_of_an_event_after_the_commit(shop: Shop) -> None:
    """And never of one that was rolled back."""
    handle, heard = waiting(shop), []
    off = shop.aiki.on(EventSent, lambda told: heard.append(told.run_id))
    with shop.session() as session:
        handle.send(paid, "cash", session=session)
        session.rollback()
        handle.send(paid, "cash", session=session)
        assert [] == heard
        session.commit()
    off()
    assert [handle.id] == heard


def test_a_cancel_counts_after_the_commit(shop: Shop) -> None:
    """A run that waits is queued, to clean up; one that never began is cancelled with the commit."""
    handle = waiting(shop)
    with shop.session() as session:
        young = await_payment.options(session=session).enqueue()
        session.commit()
        shop.broker.sent.clear()
        assert handle.cancel("no longer wanted", session=session)
        assert young.cancel("no longer wanted", session=session)
        session.rollback()
        assert ("awaiting_event", "queued") == (handle.status, young.status)
        handle.cancel("no longer wanted", session=session)
        young.cancel("no longer wanted", session=session)
        assert [] == shop.broker.sent
        session.commit()
    assert ([handle.id], "cancelled") == (shop.broker.sent, young.status)
    step_on(shop, handle.id)
    assert ("cancelled", "no longer wanted") == (handle.status, handle.refresh().cancel_reason)


def test_a_run_that_parks_and_an_event_in_a_transaction_do_not_miss_one_another(shop: Shop) -> None:
    """Whatever their order, the run goes on with the event, and its message is sent after the commit."""

    def prepare() -> Any:
        shop.broker.sent.clear()
        handle = await_payment.enqueue()
        taken = shop.aiki.binding.executor.claim(handle.id, ALICE)
        assert taken is not None
        return handle, taken

    def park(scene: Any) -> Any:
        return shop.aiki.binding.executor.run(await_payment, *scene[1], Forever(), told=True).status

    def send(scene: Any) -> Any:
        with shop.session() as session:
            scene[0].send(paid, "cash", session=session)
            session.execute(text("SELECT 1"))
            session.commit()

    def check(scene: Any, outcome: Outcome) -> None:
        assert outcome.second is None, outcome
        handle = scene[0]
        if outcome.first != "completed":
            assert ("queued", 2) == (handle.status, shop.broker.sent.count(handle.id))
            step_on(shop, handle.id)
        assert "cash" == handle.get(timeout=0)

    assert Interleaving(shop.journal, prepare, park, send, check).explore() > 2
