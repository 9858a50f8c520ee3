"""Starts in the caller's own transaction: the run exists exactly if the business rows do (I2)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.errors import InputInvalid, PayloadTooLarge, ReferenceConflict
from aiki_celery.model.events import RunEnqueued
from tests.contract.counting import counting
from tests.contract.joining import Order, Shop, opened, ship
from tests.contract.rows import age, run_row


@pytest.fixture(scope="module")
def shared_shop(database_url: str) -> Iterator[Shop]:
    """The shop, once per database."""
    if not database_url.startswith("sqlite"):
        from aiki_celery.journal.journal import Journal
        from aiki_celery.settings import AikiSettings

        Journal(AikiSettings(journal=database_url)).upgrade()
    with opened(database_url) as shop:
        yield shop


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    """The shop, with nothing in it."""
    shared_shop.wipe()
    return shared_shop


def state(shop: Shop) -> tuple[set[str], set[str], int]:
    """The orders, the runs, and how many messages were sent."""
    return shop.orders(), shop.runs(), len(shop.broker.sent)


def test_run_in_a_session_exists_and_is_sent_after_the_commit(shop: Shop) -> None:
    """Nobody sees the run, or hears of it, before the transaction commits."""
    with shop.session() as session:
        handle = shop.buy(session, "o-1")
        assert (set(), set(), 0) == state(shop)
        session.commit()
        assert ({"o-1"}, {"o-1"}, 1) == state(shop)
    assert [handle.id] == shop.broker.sent


def test_run_in_a_session_that_rolls_back_never_was(shop: Shop) -> None:
    """A rollback takes the run with it, and a later commit of the same session sends nothing."""
    with shop.session() as session:
        shop.buy(session, "o-1")
        session.rollback()
        session.add(Order(id="o-2"))
        session.commit()
    assert ({"o-2"}, set(), 0) == state(shop)


def test_run_on_a_connection_is_sent_after_each_way_to_commit(shop: Shop) -> None:
    """`begin()` as a block, `commit()` in the middle of a connection's life, and again on the same one."""
    with shop.engine.begin() as connection:
        shop.on(connection).enqueue("o-1")
        assert [] == shop.broker.sent
    assert 1 == len(shop.broker.sent)
    with shop.engine.connect() as connection:
        for number in (2, 3):
            shop.on(connection).enqueue(f"o-{number}")
            assert number - 1 == len(shop.broker.sent)
            connection.commit()
            assert number == len(shop.broker.sent)
    assert {"o-1", "o-2", "o-3"} == shop.runs()


def test_run_on_a_connection_that_is_closed_or_rolled_back_never_was(shop: Shop) -> None:
    """What ends without a commit leaves nothing; what follows on the same connection is another transaction."""
    with shop.engine.connect() as connection:
        shop.on(connection).enqueue("o-0")
        connection.rollback()
        connection.execute(insert(Order).values(id="o-1"))
        connection.commit()
        assert [] == shop.broker.sent
        shop.on(connection).enqueue("o-1")
        connection.rollback()
        shop.on(connection).enqueue("o-2")
        connection.commit()
        shop.on(connection).enqueue("o-3")
    assert ({"o-2"}, 1) == (shop.runs(), len(shop.broker.sent))


def test_a_transaction_of_many_starts_sends_one_batch(shop: Shop) -> None:
    """All messages go out together, after the commit, and are noted by one statement."""
    with shop.session() as session:
        handles = [shop.buy(session, f"o-{number}") for number in range(3)]
        handles += shop.on(session).enqueue_many([("o-3",), ("o-4",)])
        with counting(shop.journal) as counted:
            session.commit()
    assert [handle.id for handle in handles] == shop.broker.sent
    assert 1 == len(counted.statements)


def test_a_start_in_a_transaction_is_one_statement(shop: Shop) -> None:
    """The INSERT; and after the commit the note that the message was sent."""
    statements: list[str] = []
    from sqlalchemy import event

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement.split()[0])

    with shop.session() as session:
        shop.on(session).enqueue("o-0")  # the first time, the database is asked whether it is the journal's
        session.commit()
        event.listen(shop.engine, "before_cursor_execute", note)
        with counting(shop.journal) as counted:
            shop.on(session).enqueue("o-1")
            session.commit()
        event.remove(shop.engine, "before_cursor_execute", note)
    assert ["INSERT"] == [name for name in statements if name != "BEGIN"]
    assert (1, 1) == counted.cost


def test_a_savepoint_that_rolls_back_takes_its_runs_with_it(shop: Shop) -> None:
    """Runs before, beside and after a savepoint stay; nothing is sent for those inside."""
    with shop.session() as session:
        shop.buy(session, "before")
        with session.begin_nested():
            shop.buy(session, "kept")
        undone = session.begin_nested()
        shop.buy(session, "undone")
        with session.begin_nested():
            shop.buy(session, "released, and undone with the outer one")
        undone.rollback()
        shop.buy(session, "after")
        session.commit()
    assert ({"before", "kept", "after"}, {"before", "kept", "after"}, 3) == state(shop)


def test_a_savepoint_taken_by_hand_is_noticed(shop: Shop) -> None:
    """What was inside of one that SQLAlchemy knows of is looked up, however it was undone."""
    with shop.session() as session:
        shop.buy(session, "kept")
        nested = session.begin_nested()
        session.execute(text("SAVEPOINT mine"))
        shop.buy(session, "undone")
        session.flush()
        session.execute(text("ROLLBACK TO SAVEPOINT mine"))
        nested.commit()
        session.expunge_all()
        session.commit()
    assert ({"kept"}, 1) == (shop.runs(), len(shop.broker.sent))


def test_an_outer_transaction_that_a_session_has_joined_decides(shop: Shop) -> None:
    """A session's commit is none while the connection's own transaction is open, as in a test that rolls back."""
    for mode in ("create_savepoint", "rollback_only"):
        with shop.engine.connect() as connection:
            outer = connection.begin()
            with Session(connection, join_transaction_mode=mode) as session:
                shop.buy(session, mode)
                session.commit()
            assert 0 == len(shop.broker.sent)
            outer.rollback()
    assert (set(), set(), 0) == state(shop)
    with shop.engine.connect() as connection, connection.begin():
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            shop.buy(session, "o-1")
            session.commit()
        assert 0 == len(shop.broker.sent)
    assert ({"o-1"}, {"o-1"}, 1) == state(shop)


def test_a_scoped_session_is_a_session(shop: Shop) -> None:
    """As Flask's extension for SQLAlchemy gives one."""
    scoped = scoped_session(sessionmaker(shop.engine))
    shop.buy(scoped, "o-1")  # type: ignore[arg-type]
    scoped.commit()
    scoped.remove()
    assert ({"o-1"}, {"o-1"}, 1) == state(shop)


def test_the_journals_own_engine_can_be_the_callers(shop: Shop) -> None:
    """An application may share its engine with the journal."""
    with Session(shop.journal.connections.engine) as session:
        shop.buy(session, "o-1")
        session.commit()
    assert ({"o-1"}, {"o-1"}, 1) == state(shop)


def test_a_delayed_start_waits_for_its_time(shop: Shop) -> None:
    """A delay counts from the start; nothing is sent at the commit."""
    with shop.session() as session:
        handle = shop.buy(session, "o-1", delay=60)
        many = shop.on(session, delay=60).enqueue_many([("o-2",)])
        session.commit()
    assert ["scheduled", "scheduled"] == [run_row(shop.journal, each.id).status for each in (handle, *many)]
    assert ({"o-1", "o-2"}, 0) == (shop.runs(), len(shop.broker.sent))


def test_a_message_that_was_sent_is_not_sent_again_at_once(shop: Shop) -> None:
    """A sent one waits for its turn in redelivery; one of a broker that was down is a sweep's at once."""
    gone, down = "o-1", "o-2"
    with shop.session() as session:
        sent = shop.buy(session, gone)
        session.commit()
        shop.broker.is_down = True
        unsent = shop.buy(session, down)
        session.commit()
        shop.broker.is_down = False
    for run in (sent, unsent):
        age(shop.journal, run.id, 5)
    Redelivery(shop.aiki.binding.sweep_context()).sweep()
    assert [sent.id, unsent.id] == shop.broker.sent


def test_an_error_after_the_commit_does_not_reach_the_caller(shop: Shop) -> None:
    """The commit has happened: whatever goes wrong with the message is a sweep's to mend."""

    def break_down(envelopes: object) -> list[str]:
        raise RuntimeError("no broker")

    shop.broker.publish = break_down  # type: ignore[method-assign, assignment]
    try:
        with shop.session() as session:
            handle = shop.buy(session, "o-1")
            session.commit()
    finally:
        del shop.broker.publish
    assert ({"o-1"}, {"o-1"}, 0) == state(shop)
    age(shop.journal, handle.id, 5)
    Redelivery(shop.aiki.binding.sweep_context()).sweep()
    assert [handle.id] == shop.broker.sent


def test_hooks_hear_of_a_run_when_it_exists(shop: Shop) -> None:
    """`RunEnqueued` comes after the commit, and never for what was undone."""
    heard: list[str] = []
    off = shop.aiki.on(RunEnqueued, lambda event: heard.append(event.run_id))
    with shop.session() as session:
        handle = shop.buy(session, "o-1")
        nested = session.begin_nested()
        shop.buy(session, "undone", delay=5)
        nested.rollback()
        with session.begin_nested():
            late = shop.buy(session, "late", delay=5)
        assert [] == heard
        session.commit()
    off()
    assert [handle.id, late.id] == heard


def test_reference_id_taken_leaves_the_transaction_as_it_is(shop: Shop) -> None:
    """The same start twice, in one transaction and over two, is one run; other input is a conflict. All goes on."""
    with shop.session() as session:
        first = shop.buy(session, "o-1", reference_id="r-1")
        again = shop.on(session, reference_id="r-1").enqueue("o-1")
        session.commit()
        later = shop.on(session, reference_id="r-1").enqueue("o-1")
        with pytest.raises(ReferenceConflict) as caught:
            shop.on(session, reference_id="r-1").enqueue("another")
        other = shop.on(session, reference_id="r-1", on_conflict="return_existing").enqueue("another")
        session.add(Order(id="o-2"))
        session.commit()
    assert {first.id} == {again.id, later.id, other.id, caught.value.args[2]}
    assert ({"o-1", "o-2"}, {"o-1"}, 1) == state(shop)


def test_reference_id_taken_while_an_old_snapshot_is_looked_at(shop: Shop) -> None:
    """A transaction that sees the database as it was finds the run committed since, or is told to begin anew."""
    if shop.journal.connections.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    engine = create_engine(shop.url, isolation_level="REPEATABLE READ")
    with Session(engine) as session:
        session.scalar(select(func.count()).select_from(Order))
        first = ship.options(reference_id="r-1").enqueue("o-1")
        if shop.journal.connections.dialect == "postgresql":
            with pytest.raises(Exception, match="serialize"):
                shop.on(session, reference_id="r-1").enqueue("o-1")
        else:
            assert first.id == shop.on(session, reference_id="r-1").enqueue("o-1").id
            session.commit()
    engine.dispose()


def test_nothing_is_written_where_the_start_is_refused(shop: Shop) -> None:
    """Arguments are judged before anything, and the caller's transaction goes on."""
    with shop.session() as session:
        session.add(Order(id="o-1"))
        with pytest.raises(InputInvalid):
            ship.options(session=session).enqueue(5)  # type: ignore[arg-type]
        with pytest.raises(PayloadTooLarge):
            ship.options(session=session).enqueue("x" * 2_000_000)
        session.commit()
    assert ({"o-1"}, set(), 0) == state(shop)


def test_errors_of_the_database_are_the_callers(shop: Shop) -> None:
    """Nothing is tried again: a commit that fails is the caller's, and the run goes with it."""
    with shop.session() as session:
        session.add(Order(id="o-1"))
        session.commit()
    with shop.session() as session:
        shop.buy(session, "o-1")
        with pytest.raises(IntegrityError):
            session.commit()
    assert ({"o-1"}, set(), 0) == state(shop)


def test_what_cannot_be_joined_is_refused_by_name(shop: Shop, tmp_path: object) -> None:
    """Something else than a session, one that commits by itself, one of another database, one of no engine."""
    for target, said in (
        ("postgresql://u@h/d", "must be an SQLAlchemy Session or Connection, not str"),
        (shop.engine, "not Engine"),
        (Session(), "the session has no engine of its own"),
    ):
        with pytest.raises(InputInvalid, match=said):
            shop.on(target).enqueue("o-1")
    with shop.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(InputInvalid, match="AUTOCOMMIT"):
            shop.on(connection).enqueue("o-1")
    elsewhere = create_engine(f"sqlite:///{tmp_path}/other.sqlite3")
    with elsewhere.connect() as connection, pytest.raises(InputInvalid) as caught:
        shop.on(connection).enqueue("o-1")
    journal_url = shop.journal.connections.shown_url
    assert f"it is on {elsewhere.url}, and the journal is on {journal_url}" in str(caught.value)
    assert (set(), 0) == (shop.runs(), len(shop.broker.sent))


def test_celerys_own_starts_refuse_a_session(shop: Shop) -> None:
    """`delay` and the others send at once, so they cannot wait for a commit."""
    with shop.session() as session:
        for start in (ship.options(session=session).delay, ship.options(session=session).s):
            with pytest.raises(InputInvalid, match="use enqueue"):
                start("o-1")


def test_eager_runs_are_done_after_the_commit(shop: Shop) -> None:
    """With `task_always_eager`, what would be a message is the run itself."""
    shop.app.conf.task_always_eager = True
    try:
        with shop.session() as session:
            handle = shop.buy(session, "o-1")
            with pytest.raises(Exception, match=handle.id):
                handle.refresh()
            session.commit()
            assert "o-1 shipped" == handle.get(timeout=0)
    finally:
        shop.app.conf.task_always_eager = False


def test_eager_runs_of_one_call_are_done_after_the_commit(shop: Shop) -> None:
    """All of them, or none where one does not fit."""
    shop.app.conf.task_always_eager = True
    try:
        with shop.session() as session:
            joined = shop.on(session.connection())
            with pytest.raises(InputInvalid):
                joined.enqueue_many([("o-1",), (2,)])  # type: ignore[list-item]
            handles = joined.enqueue_many([("o-1",), ("o-2",)])
            session.commit()
            assert ["o-1 shipped", "o-2 shipped"] == [handle.get(timeout=0) for handle in handles]
            assert 2 == len(shop.runs())
    finally:
        shop.app.conf.task_always_eager = False
