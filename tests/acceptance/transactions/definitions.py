"""What workers do here."""

from __future__ import annotations

import time

from celery import shared_task

from aiki_celery import WorkflowRun, current_step, task, workflow
from tests.acceptance.transactions.tables import Entry
from tests.harness.effects import record_effect


@shared_task(name="ship-plainly")
def ship_plainly(order_id: str) -> None:
    """A Celery task, sent by plain Celery."""
    record_effect("shipped plainly", order=order_id)


@task(name="ship")
def ship(order_id: str) -> None:
    record_effect("shipped", order=order_id)


@workflow(name="ship-order")
def ship_order(run: WorkflowRun, order_id: str) -> None:
    ship.run(run, order_id)


@task(name="enter-transfer", transactional=True)
def enter(transfer: str, seconds: float) -> None:
    """Writes a line of the books, and takes its time before it is committed."""
    current_step().session.add(Entry(transfer=transfer))
    current_step().session.flush()
    record_effect("entered", transfer=transfer)
    time.sleep(seconds)


@workflow(name="transfer-all")
def transfer_all(run: WorkflowRun, name: str, count: int, seconds: float) -> int:
    """Half of the steps here, half of them on their own queues."""
    for number in range(count):
        if number % 2:
            enter.start(run, f"{name}-{number}", seconds).result()
        else:
            enter.run(run, f"{name}-{number}", seconds)
    return count
