"""The workflows of the golden runs. Their code stays as it is; another case is another workflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal

from aiki_celery import Retry, TaskFailed, WorkflowFailed, WorkflowRun, current_step, task, workflow

#: What was done in this process, in order.
done: list[str] = []


class Declined(Exception):
    """A declared error."""


@dataclass
class Item:
    """A value that is no plain JSON."""

    name: str
    price: Decimal
    on: date
    tags: frozenset[str] = frozenset()


@task(name="golden-price")
def price(item: Item, rate: float = 1.0) -> Decimal:
    done.append(f"price {item.name}")
    return item.price * Decimal(str(rate))


@task(name="golden-note")
def note(what: str) -> str:
    done.append(f"note {what}")
    return what


@task(name="golden-flaky", retry=Retry.fixed(3, 0.01))
def flaky(what: str) -> int:
    done.append(f"flaky {what}")
    if current_step().attempt < 2:
        raise ConnectionError(what)
    return current_step().attempt


@task(name="golden-declined", raises=[Declined])
def declined(what: str) -> str:
    done.append(f"declined {what}")
    raise Declined(what)


@task(name="golden-wire", at_most_once=True)
def wire(amount: int) -> str:
    done.append(f"wire {amount}")
    return "wired"


ITEM = Item("book", Decimal("12.50"), date(2030, 5, 1), frozenset({"new"}))


@workflow(name="golden-steps")
def steps(run: WorkflowRun, item: Item) -> list[str]:
    """Values, errors, retries, draws; asleep in the middle."""
    told = [str(price.run(run, item)), str(price.run(run, item, rate=1.1)), wire.run(run, 5)]
    told += [
        str(run.uuid4()),
        f"{run.random():.6f}",
        str(run.now() > datetime(2020, 1, 1, tzinfo=timezone.utc)),
    ]
    told.append(str(flaky.run(run, "a")))
    run.sleep(0.01, name="nap")
    try:
        declined.run(run, "b")
    except Declined as error:
        told.append(str(error))
    return [*told, note.options(key="last").run(run, "end")]


@workflow(name="golden-started")
def started(run: WorkflowRun) -> list[str]:
    """Started steps, the first of two, a child; asleep in the middle."""
    futures = [note.start(run, what) for what in ("a", "b")]
    winner = run.first(*futures)
    run.sleep(0.01)
    return [*run.gather(*futures), winner.result(), child.run(run, "c"), *run.map(note, ["d", "e"])]


@workflow(name="golden-child")
def child(run: WorkflowRun, what: str) -> str:
    """What the one before starts."""
    return note.run(run, f"child {what}")


@workflow(name="golden-undone", retry=Retry.fixed(2, 0.01))
def undone(run: WorkflowRun) -> list[str]:
    """A patch, a saga that is undone and begun anew, a retry of the workflow; asleep in the second attempt."""
    told = [str(run.patched("golden"))]
    with run.saga() as saga:
        saga.add(note, "undo")
        told += [note.run(run, "do"), str(run.uuid4())]
        run.sleep(0.01)
        if run.attempt == 1:
            declined.run(run, "first")
    return [*told, str(run.attempt)]


@workflow(name="golden-failed")
def failed(run: WorkflowRun) -> str:
    """A child that fails, and an error that leaves the workflow; asleep before."""
    run.sleep(0.01)
    try:
        failing_child.run(run)
    except WorkflowFailed as error:
        note.run(run, error.type)
    try:
        declined.run(run, "x")
    except (Declined, TaskFailed) as error:
        raise RuntimeError("as it was meant") from error
    return "never"


@workflow(name="golden-failing-child")
def failing_child(run: WorkflowRun) -> str:
    """What the one before starts."""
    raise ValueError("no child")


#: Each with its arguments.
CASES = ((steps, (ITEM,)), (started, ()), (undone, ()), (failed, ()))
