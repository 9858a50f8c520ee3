"""Steps whose effect is a row of the journal's own database: it is there once, wherever the process dies."""

from __future__ import annotations

import uuid

from sqlalchemy import Column, MetaData, String, Table, func, insert, select

from aiki_celery import WorkflowRun, current_step, task, workflow
from tests.harness.telling import tell

#: A row for each time that a step was committed.
ledger = Table(
    "crash_ledger",
    MetaData(),
    Column("id", String(32), primary_key=True),
    Column("run_id", String(155), nullable=False),
)


@task(name="crash-enter", transactional=True)
def enter() -> int:
    """Writes a row, and gives how many the run has."""
    step = current_step()
    tell("enter")
    step.connection.execute(insert(ledger).values(id=uuid.uuid4().hex, run_id=step.run_id))
    count = select(func.count()).select_from(ledger).where(ledger.c.run_id == step.run_id)
    return int(step.connection.execute(count).scalar_one())


@task(name="crash-open")
def open_books() -> None:
    tell("open")


@workflow(name="crash-entering")
def entering(run: WorkflowRun) -> list[int]:
    """The result counts the rows: one twice written, or lost, shows in it."""
    open_books.run(run)
    return [enter.run(run), enter.run(run), enter.start(run).result(), enter.run(run)]
