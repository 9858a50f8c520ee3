"""Transactions, in a process of their own; prints one JSON object per round.

    python -m benchmarks.transactional_child starts|batch|steps COUNT ROUNDS

- ``starts``: COUNT transactions of a row of business and a run that is started with it, per second; ``plain``: the same
  with an ordinary row in place of the run, in turns with it.
- ``batch``: runs started in transactions of a hundred, per second; ``plain`` likewise.
- ``steps``: transactional steps of one workflow, each an update, per second; ``plain``: the update and an insert in a
  transaction, in turns with it.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from aiki_celery import WorkflowRun, current_step, task, workflow
from benchmarks import app, raw

mode, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

#: Runs that are started in one transaction of a batch.
BATCH = 100

orders = sa.Table("bench_order", sa.MetaData(), sa.Column("id", sa.String(36), primary_key=True))
accounts = sa.Table(
    "bench_account",
    sa.MetaData(),
    sa.Column("name", sa.String(10), primary_key=True),
    sa.Column("balance", sa.Integer, nullable=False),
)
deposit = sa.update(accounts).where(accounts.c.name == "a").values(balance=accounts.c.balance + 1)


@task(name="deposit", transactional=True)
def deposit_one(number: int) -> int:
    current_step().connection.execute(deposit)
    return number


@workflow(name="many-deposits")
def many_deposits(run: WorkflowRun, steps: int) -> int:
    for number in range(steps):
        deposit_one.run(run, number)
    return steps


@contextmanager
def tables() -> Iterator[sa.Engine]:
    with raw.engine_on(app.JOURNAL) as engine:
        for table in (orders, accounts):
            table.drop(engine, checkfirst=True)
            table.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(accounts).values(name="a", balance=0))
        yield engine
        for table in (orders, accounts):
            table.drop(engine)


def transactions(engine: sa.Engine, size: int, second: Callable[[sa.Connection, int], object]) -> float:
    """Write orders in transactions of ``size``, and something beside each; orders per second."""
    started = time.perf_counter()
    for first in range(0, count, size):
        with engine.begin() as connection:
            for number in range(first, min(first + size, count)):
                connection.execute(sa.insert(orders), {"id": str(uuid.uuid4())})
                second(connection, number)
    return count / (time.perf_counter() - started)


def plain_row(connection: sa.Connection, number: int) -> None:
    [row] = raw.rows(1)
    connection.execute(sa.insert(raw.TABLE), dict(zip(raw.COLUMNS, row, strict=True)))


def start(connection: sa.Connection, number: int) -> None:
    app.one_step.options(session=connection).enqueue(number)


def starts(size: int = 1) -> Iterator[dict[str, float]]:
    with tables() as engine, engine.begin() as connection:
        start(connection, 0)
    with tables() as engine:
        for _ in range(rounds):
            plain = transactions(engine, size, plain_row)
            yield {"value": transactions(engine, size, start), "plain": plain}


def batch() -> Iterator[dict[str, float]]:
    yield from starts(BATCH)


def steps() -> Iterator[dict[str, float]]:
    with tables() as engine:
        many_deposits.apply((20,)).get()
        for _ in range(rounds):
            started = time.perf_counter()
            for number in range(count):
                with engine.begin() as connection:
                    connection.execute(deposit)
                    plain_row(connection, number)
            plain = count / (time.perf_counter() - started)
            started = time.perf_counter()
            assert many_deposits.apply((count,)).get() == count
            yield {"value": count / (time.perf_counter() - started), "plain": plain}


modes: dict[str, Callable[[], Iterator[dict[str, float]]]] = {
    "starts": starts,
    "batch": batch,
    "steps": steps,
}
for value in modes[mode]():
    print(json.dumps(value), flush=True)
