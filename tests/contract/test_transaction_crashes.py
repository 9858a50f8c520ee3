"""A process dies at each point of a transaction: runs exist exactly with their rows (I2), steps happen once (I4)."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from aiki_celery import WorkflowRun, current_step, task, workflow
from aiki_celery.definitions.registry import registry
from aiki_celery.engine.ports import Forever
from aiki_celery.engine.sweeps.redelivery import Redelivery
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import (
    RunEnqueued,
    RunEnqueuing,
    RunPublished,
    StepCommitted,
    StepCommitting,
    StepStarting,
)
from aiki_celery.model.records import Owner
from aiki_celery.model.status import RunKind
from aiki_celery.settings import AikiSettings
from tests.contract.joining import Order, Shop, business_engine, opened
from tests.contract.rows import age
from tests.harness.effects import EFFECTS_ENV, Effects, record_effect
from tests.harness.invariants import read_runs

#: Exit code of a process that died where it was told to.
DIED = 77


@task(name="tell-once")
def tell_once(order_id: str) -> None:
    record_effect("shipped", order=order_id)


@workflow(name="ship-or-crash")
def ship_or_crash(run: WorkflowRun, order_id: str) -> None:
    tell_once.run(run, order_id)


@task(name="write-once", transactional=True)
def write_once(order_id: str) -> None:
    """Writes a row under a key of its own each time: twice would be two rows."""
    attempt = os.urandom(4).hex()
    current_step().connection.execute(insert(Order).values(id=f"{order_id}/{attempt}"))
    points.get("written", lambda: None)()


@workflow(name="write-inline")
def write_inline(run: WorkflowRun, order_id: str) -> None:
    write_once.run(run, order_id)


@workflow(name="write-started")
def write_started(run: WorkflowRun, order_id: str) -> None:
    write_once.start(run, order_id).result()


#: Where the body of the next step dies.
points: dict[str, Callable[[], Any]] = {}


@pytest.fixture(scope="module")
def shared_shop(database_url: str) -> Iterator[Shop]:
    """The shop, once per database."""
    Journal(AikiSettings(journal=database_url)).upgrade()
    with opened(database_url) as shop:
        yield shop


@pytest.fixture
def shop(shared_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop, with nothing in it."""
    monkeypatch.setenv(EFFECTS_ENV, str(tmp_path / "effects.jsonl"))
    Effects.from_env()
    shared_shop.wipe()
    return shared_shop


def die(*_: Any) -> None:
    """Ends the process as `kill -9` does."""
    os._exit(DIED)


def in_a_process(shop: Shop, act: Callable[[], None]) -> None:
    """Lets a child of this process do something in which it dies."""
    shop.engine.dispose()
    shop.aiki.close()
    pid = os.fork()
    if pid == 0:
        gc.freeze()
        try:
            act()
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert DIED == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "it did not die where it should"


def go_on(shop: Shop, dead: Owner | None = None) -> None:
    """Recovers, sweeps, and does what messages ask for, until there are none: as workers would."""
    binding = shop.aiki.binding
    if dead is not None:
        binding.journal.recovery.free_process(dead.worker_id, dead.pid)
    for run in read_runs(binding.journal.connections.engine):
        if run.row["status"] == "queued":
            age(shop.journal, run.id, 60)
    redelivery = Redelivery(binding.sweep_context())
    while redelivery.sweep() or shop.broker.sent:
        sent, shop.broker.sent = shop.broker.sent, []
        for run_id in sent:
            take(shop, run_id, Owner("rescuer", os.getpid()))


def take(shop: Shop, run_id: str, owner: Owner) -> None:
    """Does what a message asks for."""
    executor, publish = shop.aiki.binding.executor, shop.aiki.binding.starter.publish
    taken = executor.claim(run_id, owner)
    if taken is None:
        return
    if taken[0].kind is RunKind.STEP:
        executor.run_step(write_once, *taken, Forever(), publish=publish)
        return
    definition = registry.workflow(taken[0].workflow, taken[0].version)
    assert definition is not None
    executor.run(definition, *taken, Forever(), told=True, publish=publish)


START_POINTS: dict[str, bool] = {
    "before the insert": False,
    "after the insert": False,
    "at the commit": False,
    "after the commit": True,
    "after the message": True,
    "after all": True,
}


@pytest.mark.parametrize("point", START_POINTS)
@pytest.mark.parametrize("way", ["session", "connection", "savepoint", "many"])
def test_a_start_in_a_transaction_survives_exactly_if_its_row_does(shop: Shop, way: str, point: str) -> None:
    """Whatever the point, order and run are both there or neither is, and the run is done once."""

    def act() -> None:
        engine = business_engine(shop.url)
        if point == "before the insert" and way != "many":
            shop.aiki.on(RunEnqueuing, die)
        if point == "at the commit":
            event.listen(engine, "commit", die)
        if point == "after the commit":
            shop.aiki.on(RunEnqueued, die)
            shop.broker.publish = die  # type: ignore[method-assign, assignment]
        if point == "after the message":
            shop.aiki.on(RunPublished, die)
        with engine.connect() as connection, connection.begin(), Session(connection) as session:
            session.add(Order(id="o-1"))
            session.flush()
            if way == "many":
                if point == "before the insert":
                    die()
                ship_or_crash.options(session=session).enqueue_many([("o-1",)])
            elif way == "savepoint":
                with session.begin_nested():
                    ship_or_crash.options(session=session).enqueue("o-1")
            else:
                ship_or_crash.options(session=session if way == "session" else connection).enqueue("o-1")
            if point == "after the insert":
                die()
            session.commit()
        die()

    in_a_process(shop, act)
    expected = {"o-1"} if START_POINTS[point] else set()
    assert (expected, expected) == (shop.orders(), shop.runs())
    go_on(shop)
    assert len(expected) == Effects.from_env().count("shipped")
    assert ["completed"] * len(expected) == [run.row["status"] for run in read_runs(shop.engine)]


STEP_POINTS = (
    "before the body",
    "in the body",
    "after the body",
    "at the commit",
    "unanswered",
    "after the commit",
)


@pytest.mark.parametrize("point", STEP_POINTS)
@pytest.mark.parametrize("flow", [write_inline, write_started], ids=["inline", "started"])
def test_a_transactional_step_happens_once_wherever_its_process_dies(
    shop: Shop, flow: Any, point: str
) -> None:
    """After recovery the step's row is there exactly once, and so is its record."""
    handle = flow.enqueue("o-1")
    run_id = handle.id
    owner = Owner("mortal", os.getpid())
    if flow is write_started:
        take(shop, run_id, owner)
        run_id = shop.broker.sent[-1]
    shop.broker.sent.clear()

    def act() -> None:
        points.clear()
        engine = shop.journal.connections.engine
        commit, armed = engine.dialect.do_commit, []

        def commit_and_die(connection: Any) -> None:
            commit(connection)
            if armed:
                die()

        if point == "in the body":
            points["written"] = die
        for name, kind in (
            ("before the body", StepStarting),
            ("after the body", StepCommitting),
            ("after the commit", StepCommitted),
        ):
            if point == name:
                shop.aiki.on(kind, die)
        if point == "at the commit":
            points["written"] = lambda: event.listen(current_step().connection, "commit", die)
        if point == "unanswered":
            points["written"] = lambda: armed.append(1)
            engine.dialect.do_commit = commit_and_die  # type: ignore[method-assign]
        take(shop, run_id, owner)

    in_a_process(shop, act)
    is_committed = point in ("unanswered", "after the commit")
    assert is_committed == bool(shop.orders())
    go_on(shop, owner)
    assert 1 == len(shop.orders())
    assert {"completed"} == {run.row["status"] for run in read_runs(shop.engine)}
