"""Transactions stepped through one another: two that start one run, and one whose run is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from aiki_celery import WorkflowRun, current_step, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
from tests.contract.house import House
from tests.contract.interleaving import Interleaving, Outcome
from tests.contract.joining import Order, Shop, accounts, opened
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, BOB, token


@task(name="deposit-once", transactional=True)
def deposit() -> int:
    connection = current_step().connection
    connection.execute(update(accounts).values(balance=accounts.c.balance + 1))
    return int(connection.execute(select(func.sum(accounts.c.balance))).scalar_one())


@workflow(name="deposited")
def deposited(run: WorkflowRun) -> int:
    return deposit.run(run)


@workflow(name="deposited-elsewhere")
def deposited_elsewhere(run: WorkflowRun) -> int:
    return deposit.start(run).result()


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


@pytest.mark.parametrize("ending", ["commits", "rolls back"])
def test_two_transactions_that_start_one_reference_id_make_one_run(shop: Shop, ending: str) -> None:
    """The second waits for the first, and finds its run or makes it; both rows are there if both commit."""
    engine = shop.journal.connections.engine

    def start(order_id: str, commits: bool) -> str | None:
        with Session(engine) as session:
            session.add(Order(id=order_id))
            session.flush()
            handle = shop.on(session, reference_id="r-1").enqueue("the same")
            if not commits:
                session.rollback()
                return None
            session.commit()
            return handle.id

    def check(_: None, outcome: Outcome) -> None:
        ids = {run.id for run in shop.journal.views.find()}
        assert isinstance(outcome.second, str), outcome
        expected = {outcome.first, outcome.second} - {None}
        assert (expected, sorted(expected)) == (ids, sorted(set(shop.broker.sent)))
        assert 1 == len(shop.broker.sent)
        assert ({"a", "b"} if ending == "commits" else {"b"}) == shop.orders()

    tried = Interleaving(
        shop.journal,
        shop.wipe,
        lambda _: start("a", ending == "commits"),
        lambda _: start("b", True),
        check,
    ).explore()
    assert tried > 1


@pytest.mark.parametrize("flow", [deposited, deposited_elsewhere], ids=["inline", "started"])
def test_a_step_in_a_transaction_and_who_takes_its_run_do_it_once(shop: Shop, flow: Any) -> None:
    """At whatever statement the run is taken away, the deposit is made by one of the two."""
    journal = shop.journal

    def prepare() -> Any:
        shop.wipe()
        with shop.engine.begin() as connection:
            connection.execute(insert(accounts).values(name="a", balance=0))
        house = House(journal)
        run_id = house.enqueue(flow)
        if flow is deposited_elsewhere:
            house.take(run_id)
            run_id = house.inbox.popleft()
        house.inbox.clear()
        taken = house.executor.claim(run_id, ALICE)
        assert taken is not None
        return house, taken

    def do(scene: Any) -> Any:
        return scene[0].run(*scene[1])

    def take_over(scene: Any) -> Any:
        house, (claim, _) = scene
        journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
        taken = journal.claims.claim(claim.run_id, BOB, token())
        return None if taken is None else house.run(*taken)

    def check(scene: Any, outcome: Outcome) -> None:
        assert not isinstance(outcome.first, BaseException), outcome
        assert not isinstance(outcome.second, BaseException), outcome
        house, (claim, _) = scene
        house.drain()
        with shop.engine.connect() as connection:
            made = connection.execute(select(accounts.c.balance)).scalar_one()
        assert (1, "completed") == (made, run_row(journal, claim.run_id).status)
        assert 1 == count(journal, "steps")

    assert Interleaving(journal, prepare, do, take_over, check).explore() > 2
