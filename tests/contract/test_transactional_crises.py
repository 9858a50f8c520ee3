"""Transactional steps when the database gives up: lost answers, deadlocks, lost connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError

from aiki_celery import Retry, WorkflowRun, current_step, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.transactions.step_writers import EndWriter, RecordWriter
from tests.contract.failing import lost_answer
from tests.contract.house import House
from tests.contract.joining import accounts
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE

#: What the bodies do between their two writes, by the account they begin with.
between: dict[str, Any] = {}

#: How often a body ran.
ran: list[int] = []


@task(name="transfer", retry=Retry.never(), transactional=True)
def transfer(source: str, target: str) -> int:
    """Moves one."""
    connection = current_step().connection
    ran.append(current_step().attempt)
    _add(connection, source, -1)
    between.get(source, lambda: None)()
    _add(connection, target, 1)
    return len(ran)


def _add(connection: Any, name: str, amount: int) -> None:
    of_name = update(accounts).where(accounts.c.name == name)
    connection.execute(of_name.values(balance=accounts.c.balance + amount))


@workflow(name="transferred")
def transferred(run: WorkflowRun, source: str, target: str) -> int:
    return transfer.run(run, source, target)


@workflow(name="transferred-elsewhere")
def transferred_elsewhere(run: WorkflowRun, source: str, target: str) -> int:
    return transfer.start(run, source, target).result()


WAYS = pytest.mark.parametrize("flow", [transferred, transferred_elsewhere], ids=["inline", "started"])


@pytest.fixture(autouse=True)
def books(journal: Journal) -> Iterator[None]:
    """Three accounts with nothing on them."""
    between.clear()
    ran.clear()
    engine = journal.connections.engine
    accounts.drop(engine, checkfirst=True)
    accounts.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(accounts), [{"name": name, "balance": 0} for name in "abc"])
    yield
    accounts.drop(engine)


def balances(journal: Journal) -> str:
    """What is on the accounts."""
    with journal.connections.autocommit() as connection:
        rows = connection.execute(select(accounts).order_by(accounts.c.name)).all()
    return " ".join(f"{row.name}{row.balance:+}" for row in rows)


def until_the_step(house: House, flow: Any) -> str:
    """Brings a run to where its step is to be run; gives the id of the run that does it."""
    run_id = house.enqueue(flow, "a", "b")
    if flow is transferred_elsewhere:
        house.take(run_id)
    return house.inbox.popleft()


@WAYS
def test_a_commit_whose_answer_was_lost_is_found(journal: Journal, flow: Any) -> None:
    """The record is there: the body is not run again, and the run goes on with what was recorded."""
    house = House(journal)
    run_id = until_the_step(house, flow)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    with lost_answer(journal):
        house.run(*taken)
    house.drain()
    assert ("a-1 b+1 c+0", [1], "completed") == (balances(journal), ran, run_row(journal, run_id).status)


@WAYS
def test_a_commit_that_failed_is_done_again(journal: Journal, flow: Any) -> None:
    """Nothing was committed: the body is run again, which costs no attempt."""
    house = House(journal)
    dialect = journal.connections.engine.dialect
    taken = house.executor.claim(until_the_step(house, flow), ALICE)
    assert taken is not None
    commit, failed = dialect.do_commit, []

    def fail_once(connection: Any) -> None:
        if ran and not failed:
            failed.append(1)
            dialect.do_rollback(connection)
            raise OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        commit(connection)

    dialect.do_commit = fail_once  # type: ignore[method-assign]
    try:
        house.run(*taken)
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]
    house.drain()
    assert ("a-1 b+1 c+0", [1, 1], [1]) == (balances(journal), ran, failed)


@WAYS
def test_a_commit_that_shows_late_is_found_by_the_next_try(journal: Journal, flow: Any) -> None:
    """The first try's commit is seen by nobody when it is looked for, and by the second try when it writes."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("a commit of SQLite's is over when the next transaction begins")
    house = House(journal)
    taken = house.executor.claim(until_the_step(house, flow), ALICE)
    assert taken is not None
    kind: Any = RecordWriter if flow is transferred else EndWriter
    find, looks = kind.find, []

    def see_nothing_first(self: Any, tries: list[Any]) -> Any:
        looks.append(len(tries))
        return None if looks.count(1) == 1 and len(looks) < 3 else find(self, tries)

    kind.find = see_nothing_first
    try:
        with lost_answer(journal):
            house.run(*taken)
    finally:
        kind.find = find
    house.drain()
    assert ("a-1 b+1 c+0", [1, 1]) == (balances(journal), ran)


@WAYS
def test_a_lost_connection_runs_the_body_again(journal: Journal, flow: Any) -> None:
    """What the server has not committed it forgets; the body's attempt is not used up."""
    kill = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}.get(
        journal.connections.dialect
    )
    if kill is None:
        pytest.skip("SQLite has no connection to lose")
    own = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}

    def cut() -> None:
        if len(ran) == 1:
            found = current_step().connection.execute(text(own[journal.connections.dialect])).scalar()
            with journal.connections.autocommit() as other:
                other.exec_driver_sql(kill.format(found))

    between["a"] = cut
    house = House(journal)
    house.inbox.append(until_the_step(house, flow))
    house.drain()
    assert ("a-1 b+1 c+0", [1, 1]) == (balances(journal), ran)


@pytest.mark.parametrize("passes_over", [False, True])
@WAYS
def test_a_deadlock_runs_the_body_again(journal: Journal, flow: Any, passes_over: bool) -> None:
    """Who is chosen as the victim begins anew, at no attempt's cost, even if its body passes over the error."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    house, rival = House(journal), threading.Event()
    locked = threading.Event()

    def other() -> None:
        with journal.connections.engine.connect() as connection:
            _add(connection, "b", 0)
            locked.set()
            assert rival.wait(10)
            # PostgreSQL ends who has waited for a second: this one waits longer. MariaDB ends who has written less.
            if journal.connections.dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20s'")
            else:
                connection.execute(insert(accounts), [{"name": f"x{n}", "balance": 0} for n in range(50)])
            _add(connection, "a", 0)
            connection.rollback()

    def meet() -> None:
        if len(ran) > 1:
            return
        assert locked.wait(10)
        rival.set()
        if passes_over:
            _passed_over(lambda: _add(current_step().connection, "b", 0))

    between["a"] = meet
    thread = threading.Thread(target=other)
    thread.start()
    house.inbox.append(until_the_step(house, flow))
    house.drain()
    thread.join(10)
    assert ("a-1 b+1 c+0", [1, 1]) == (balances(journal), ran)


def _passed_over(act: Any) -> None:
    try:
        act()
    except Exception:
        # As careless code does.
        return


def test_two_bodies_that_deadlock_are_both_done(journal: Journal) -> None:
    """Steps that lock one another's rows in turn: one is the victim and is run again; each is done once.

    Run again, the victim may take the row before the other has woken up and be the victim once more.
    """
    if journal.connections.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    met = threading.Barrier(2, timeout=10)
    first_time = {"a", "b"}

    def meet(name: str) -> None:
        if name in first_time:
            first_time.discard(name)
            met.wait()

    for name in "ab":
        between[name] = lambda name=name: meet(name)
    house = House(journal)
    ids = [house.enqueue(transferred, *pair) for pair in ("ab", "ba")]
    claims = [house.executor.claim(run_id, ALICE) for run_id in ids]
    house.inbox.clear()
    threads = [threading.Thread(target=house.run, args=claim) for claim in claims if claim]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert "a+0 b+0 c+0" == balances(journal)
    assert len(ran) > 2, "they have not deadlocked"
    assert ["completed"] * 2 == [run_row(journal, run_id).status for run_id in ids]
    assert 2 == count(journal, "steps")
