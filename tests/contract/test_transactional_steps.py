"""Transactional steps: what the body writes and the record of the step are committed together, once (I4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from aiki_celery import (
    DefinitionInvalid,
    Retry,
    TaskFailed,
    WorkflowRun,
    current_step,
    task,
    workflow,
)
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.house import House
from tests.contract.joining import Order, accounts, opened, ship
from tests.contract.rows import run_row
from tests.contract.stories import ALICE

#: What the next body does when it has written, by the name of the test's own making.
script: dict[str, Any] = {}


@task(name="book", raises=[KeyError], retry=Retry.fixed(3, 0.001), transactional=True)
def book(name: str) -> int:
    """Adds one to an account, and does what the script says."""
    connection = current_step().connection
    connection.execute(update(accounts).where(accounts.c.name == name).values(balance=accounts.c.balance + 1))
    script.get("then", lambda: None)()
    return int(connection.execute(select(accounts.c.balance).where(accounts.c.name == name)).scalar_one())


@task(name="book-by-orm", transactional=True)
def book_by_orm(order_id: str) -> str:
    """Writes an order through the ORM, without a flush of its own."""
    session = current_step().session
    order = Order(id=order_id)
    session.add(order)
    script.get("then", lambda: None)()
    return str(order.id)


@task(name="book-plainly")
def book_plainly() -> None:
    """Is not transactional."""
    _ = current_step().connection


@workflow(name="booked")
def booked(run: WorkflowRun) -> list[int]:
    return [book.run(run, "a"), book.run(run, "b"), book.run(run, "a")]


@workflow(name="booked-elsewhere")
def booked_elsewhere(run: WorkflowRun) -> list[int]:
    return run.gather(book.start(run, "a"), book.start(run, "b"))


@workflow(name="booked-by-orm")
def booked_by_orm(run: WorkflowRun) -> list[str]:
    return [book_by_orm.run(run, "o-1"), book_by_orm.start(run, "o-2").result()]


@workflow(name="booked-once")
def booked_once(run: WorkflowRun) -> str:
    try:
        return str(book.run(run, "a"))
    except (TaskFailed, KeyError) as error:
        return f"{type(error).__name__}: {error}"


@workflow(name="booked-by-orm-once")
def booked_by_orm_once(run: WorkflowRun) -> str:
    try:
        return book_by_orm.run(run, "o-1")
    except TaskFailed as error:
        return f"{error.type}: {error.message}"


@workflow(name="booked-plainly")
def booked_plainly(run: WorkflowRun) -> str:
    try:
        book_plainly.run(run)
    except TaskFailed as error:
        return error.message
    return "booked"


@pytest.fixture(autouse=True)
def books(journal: Journal) -> Iterator[Journal]:
    """Two accounts with nothing on them, in the journal's database."""
    script.clear()
    engine = journal.connections.engine
    tables = [accounts, Order.__table__]
    for table in tables:
        table.drop(engine, checkfirst=True)
        table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(accounts), [{"name": name, "balance": 0} for name in "ab"])
    yield journal
    for table in tables:
        table.drop(engine, checkfirst=True)


def balances(journal: Journal) -> dict[str, int]:
    """What is on the accounts."""
    with journal.connections.autocommit() as connection:
        return {row.name: row.balance for row in connection.execute(select(accounts))}


def orders(journal: Journal) -> list[str]:
    """The orders there are."""
    with journal.connections.autocommit() as connection:
        return sorted(connection.execute(select(Order.id)).scalars())


def times(count: int, act: Any) -> Any:
    """Does something the first so many times."""
    left = [count]

    def then() -> None:
        if left[0]:
            left[0] -= 1
            act()

    return then


def test_inline_steps_commit_with_what_they_wrote(journal: Journal) -> None:
    """Each body's writes are there once, and its result is what it saw."""
    assert [1, 1, 2] == House(journal).result_of(booked)
    assert {"a": 2, "b": 1} == balances(journal)


def test_started_steps_commit_with_what_they_wrote(journal: Journal) -> None:
    """The end of the step's run, and the parent's counting, are in the same transaction."""
    assert [1, 1] == House(journal).result_of(booked_elsewhere)
    assert {"a": 1, "b": 1} == balances(journal)


def test_the_session_is_flushed_and_closed_for_the_body(journal: Journal) -> None:
    """What the ORM holds back at the end of the body is written, and then the record."""
    assert ["o-1", "o-2"] == House(journal).result_of(booked_by_orm)
    assert ["o-1", "o-2"] == orders(journal)


def test_the_record_is_one_statement_and_the_transaction_one_commit(journal: Journal) -> None:
    """Besides the body's own statements: the fenced INSERT, and the one COMMIT."""
    house = House(journal)
    claim, steps = house.executor.claim(house.enqueue(booked), ALICE) or (None, None)
    assert claim is not None
    assert steps is not None
    with counting(journal) as counted:
        house.run(claim, steps)
    own = [text for text in counted.statements if "shop_accounts" not in text]
    # Three steps; the last statement is the run's end.
    assert ["INSERT"] * 3 + ["UPDATE"] == [text.split()[0] for text in own]
    assert 4 == counted.commits


def test_a_body_that_fails_is_rolled_back_and_its_attempt_recorded(journal: Journal) -> None:
    """Two attempts fail after they wrote; the third one's write alone is there."""
    attempts: list[int] = []

    def fail() -> None:
        attempts.append(current_step().attempt)
        raise RuntimeError("not yet")

    script["then"] = times(2, fail)
    assert "1" == House(journal).result_of(booked_once)
    assert ([1, 2], {"a": 1, "b": 0}) == (attempts, balances(journal))


def test_a_body_that_gives_up_leaves_nothing_but_its_failure(journal: Journal) -> None:
    """A declared error reaches the workflow as itself, with its cause, and what was written is gone."""

    def fail() -> None:
        raise KeyError("no such account")

    script["then"] = fail
    assert "KeyError: 'no such account'" == House(journal).result_of(booked_once)
    assert {"a": 0, "b": 0} == balances(journal)


def test_a_result_that_has_no_json_form_undoes_the_body(journal: Journal) -> None:
    """The outcome is judged before the commit."""
    script["then"] = lambda: current_step().session.add(Order(id="x" * 10))
    broken = task(name="book-broken", transactional=True)(lambda: (script["then"](), object())[1])

    @workflow(name="booked-broken")
    def booked_broken(run: WorkflowRun) -> str:
        try:
            broken.run(run)
        except TaskFailed as error:
            return error.type
        return "booked"

    assert "NotJournalable" in House(journal).result_of(booked_broken)
    assert [] == orders(journal)


@pytest.mark.parametrize("way", ["commit", "session.commit", "session.begin", "rollback", "session.rollback"])
def test_a_body_that_ends_the_transaction_is_refused(journal: Journal, way: str) -> None:
    """By name, and nothing of it is left, whether it passes over the refusal or not."""

    def end() -> None:
        step = current_step()
        acts = {
            "commit": step.connection.commit,
            "rollback": step.connection.rollback,
            "session.commit": step.session.commit,
            "session.begin": step.session.begin,
            "session.rollback": step.session.rollback,
        }
        acts[way]()

    script["then"] = end
    said = House(journal).result_of(booked_once)
    assert "A transactional task does not commit or roll back" in said
    assert {"a": 0, "b": 0} == balances(journal)


def test_a_refusal_of_a_commit_that_is_passed_over_still_fails_the_attempt(journal: Journal) -> None:
    """Who catches everything has no record either."""

    def end() -> None:
        with suppress(Exception):
            current_step().connection.commit()

    script["then"] = end
    assert "does not commit" in House(journal).result_of(booked_by_orm_once)
    assert [] == orders(journal)


def test_a_savepoint_undoes_a_part(journal: Journal) -> None:
    """`begin_nested` is the body's own, on the connection and in the session."""

    def part() -> None:
        step = current_step()
        with suppress(IntegrityError), step.session.begin_nested():
            step.session.add(Order(id="o-1"))
            step.session.flush()
            step.connection.execute(insert(Order).values(id="o-1"))
        with step.connection.begin_nested() as savepoint:
            step.connection.execute(insert(Order).values(id="gone"))
            savepoint.rollback()

    script["then"] = times(1, part)
    assert "1" == House(journal).result_of(booked_once)
    assert ({"a": 1, "b": 0}, []) == (balances(journal), orders(journal))


def test_a_flush_that_fails_shows_the_bodys_own_error(journal: Journal) -> None:
    """The database's error is the attempt's, and not that SQLAlchemy rolled back because of it."""
    with journal.connections.transaction() as connection:
        connection.execute(insert(Order).values(id="o-1"))
    assert House(journal).result_of(booked_by_orm_once).startswith("IntegrityError")
    assert ["o-1"] == orders(journal)


def test_an_error_of_the_database_that_is_passed_over_is_named(journal: Journal) -> None:
    """PostgreSQL gives up the transaction; the others go on, and so does the step."""

    def stumble() -> None:
        with suppress(IntegrityError):
            current_step().connection.execute(insert(accounts).values(name="b", balance=0))

    script["then"] = stumble
    said = House(journal).result_of(booked_once)
    if journal.connections.dialect == "postgresql":
        assert "current transaction is aborted" in said or "passed over an error" in said
        assert {"a": 0, "b": 0} == balances(journal)
    else:
        assert ("1", {"a": 1, "b": 0}) == (said, balances(journal))


def test_a_task_that_is_not_transactional_has_no_connection(journal: Journal) -> None:
    """The message says what to declare."""
    assert "@task(name='book-plainly', transactional=True)" in House(journal).result_of(booked_plainly)


def test_a_transactional_task_has_no_heartbeat(journal: Journal) -> None:
    """What it has done is undone with it, so there is nothing to keep."""
    script["then"] = lambda: current_step().heartbeat(1)
    assert "there is no progress to keep" in House(journal).result_of(booked_once)


def test_a_definition_that_cannot_be_transactional_is_refused() -> None:
    """At most once is something else, and a coroutine has no use for a connection that blocks."""
    with pytest.raises(DefinitionInvalid, match="at_most_once and transactional exclude each other"):
        task(name="both", at_most_once=True, transactional=True)(lambda: None)

    async def body() -> None: ...

    with pytest.raises(DefinitionInvalid, match="needs a def, not an async def"):
        task(name="coroutine", transactional=True)(body)


@pytest.mark.parametrize("is_started", [False, True])
def test_a_claim_that_was_lost_undoes_the_body(journal: Journal, is_started: bool) -> None:
    """Whoever has the run now does the step; what the zombie wrote is rolled back with its refused record."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("nobody can take a run while a transactional body holds SQLite's write lock")
    house = House(journal)
    house.enqueue(booked_elsewhere if is_started else booked_once)
    if is_started:
        house.take(house.inbox[0])
    run_id = house.inbox.popleft()
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    script["then"] = times(1, lambda: journal.recovery.free_process(ALICE.worker_id, ALICE.pid))
    assert (None, {"a": 0, "b": 0}) == (house.run(*taken).status, balances(journal))
    house.inbox.append(run_id)
    house.drain()
    assert (RunStatus.COMPLETED, 1) == (run_row(journal, run_id).status, balances(journal)["a"])


@pytest.mark.parametrize("ask", ["pause", "cancel"])
def test_what_a_body_has_done_is_kept_when_the_run_is_asked_to_stop(journal: Journal, ask: str) -> None:
    """The request comes while the body runs: it commits with its record, and no further step begins."""
    if journal.connections.dialect == "sqlite":
        pytest.skip("nobody can ask while a transactional body holds SQLite's write lock")
    house = House(journal)
    run_id = house.enqueue(booked)
    asks = {"pause": journal.control_moves.pause, "cancel": journal.control.cancel}
    script["then"] = times(1, lambda: asks[ask](run_id))
    outcome = house.take(run_id)
    assert outcome is not None
    assert {"a": 1, "b": 0} == balances(journal)
    assert ("paused" if ask == "pause" else "cancelled") == run_row(journal, run_id).status
    if ask == "pause":
        journal.control_moves.resume(run_id)
        house.inbox.append(run_id)
        house.drain()
        assert ({"a": 2, "b": 1}, "completed") == (balances(journal), run_row(journal, run_id).status)


@task(name="book-and-start", transactional=True)
def book_and_start(order_id: str) -> str:
    """Starts a run with its own row."""
    session = current_step().session
    session.add(Order(id=order_id))
    started = ship.options(session=session).enqueue(order_id)
    script.get("then", lambda: None)()
    return started.id


@workflow(name="booked-and-started")
def booked_and_started(run: WorkflowRun, order_id: str) -> str:
    try:
        return book_and_start.run(run, order_id)
    except TaskFailed as error:
        return error.message


@pytest.mark.parametrize("fails", [False, True])
def test_a_body_starts_runs_exactly_once(journal: Journal, fails: bool) -> None:
    """With `session=current_step().session`, a run that a step starts is there exactly if the step's record is."""

    def fail() -> None:
        raise RuntimeError("not today")

    if fails:
        script["then"] = fail
    with opened(journal.connections.url.render_as_string(hide_password=False)) as shop:
        found = House(journal).result_of(booked_and_started, "o-1")
        runs = [] if fails else [found]
        assert (runs, runs) == (shop.broker.sent, [run.id for run in journal.views.find(workflow=ship.name)])
        assert ([] if fails else ["o-1"]) == orders(journal)
