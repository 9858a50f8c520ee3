"""A deploy tightens what a task or a child takes: what was recorded was judged when it was made, and is not again."""

# Annotations are not postponed here: a limit that is a variable is read where it stands.
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field

from aiki_celery import InputInvalid, WorkflowRun, task, workflow
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.house import House
from tests.contract.rows import run_row


def deployed(most: int) -> dict[str, Workflow[..., Any]]:
    """The code, with the largest amount that it takes; deployed again, it stands in the place of what was there."""

    @task(name="tightened-pay")
    def pay(amount: Annotated[int, Field(le=most)]) -> int:
        return amount

    @workflow(name="tightened-child")
    def child(run: WorkflowRun, amount: Annotated[int, Field(le=most)]) -> int:
        return amount

    @workflow(name="tightened-inline")
    def inline(run: WorkflowRun, amount: int) -> list[int]:
        return [pay.run(run, amount), *slept(run)]

    @workflow(name="tightened-started")
    def started(run: WorkflowRun, amount: int) -> list[int]:
        return [pay.start(run, amount).result(), *slept(run)]

    @workflow(name="tightened-mapped")
    def mapped(run: WorkflowRun, amount: int) -> list[int]:
        return [*run.map(pay, [amount]), *slept(run)]

    @workflow(name="tightened-parent")
    def parent(run: WorkflowRun, amount: int) -> list[int]:
        return [child.start(run, amount).result(), *slept(run)]

    @workflow(name="tightened-careful")
    def careful(run: WorkflowRun, amount: int) -> list[int]:
        paid = []
        for less in (0, amount - 1):
            try:
                paid.append(pay.options(key="paid").run(run, amount - less))
            except InputInvalid:
                continue
        return [*paid, *slept(run)]

    return {one.name.removeprefix("tightened-"): one for one in (inline, started, mapped, parent, careful)}


def slept(run: WorkflowRun) -> list[int]:
    run.sleep(3600)
    return []


def put_through(journal: Journal, kind: str, deploy: Callable[[], Any]) -> tuple[RunStatus, str | None]:
    """Runs it until it sleeps, deploys, wakes it, and gives how it ended."""
    house = House(journal, inline_wait=0.0)
    run_id = house.enqueue(deployed(100)[kind], 50)
    while house.inbox:
        house.take(house.inbox[0])
    assert RunStatus.SLEEPING == run_row(journal, run_id).status
    deploy()
    house.publish(journal.control_moves.wake(run_id).envelopes)
    house.drain()
    row = run_row(journal, run_id)
    return RunStatus(row.status), row.output or row.reason


@pytest.mark.parametrize("kind", ["inline", "started", "mapped", "parent"])
def test_what_is_recorded_is_not_judged_again(journal: Journal, kind: str) -> None:
    """The run goes on with what it has; of what is new, the tightened code decides."""
    assert (RunStatus.COMPLETED, "[50]") == put_through(journal, kind, lambda: deployed(10))
    house = House(journal)
    run_id = house.enqueue(deployed(10)[kind], 50)
    house.drain()
    row = run_row(journal, run_id)
    assert RunStatus.FAILED == row.status
    assert row.reason.startswith("InputInvalid: ")


def test_refused_call_of_a_key_stays_refused(journal: Journal) -> None:
    """By its key it would be taken for the later one that is recorded."""
    house = House(journal, inline_wait=0.0)
    run_id = house.enqueue(deployed(10)["careful"], 50)
    house.take(run_id)
    house.publish(journal.control_moves.wake(run_id).envelopes)
    house.drain()
    assert (RunStatus.COMPLETED, "[1]") == (run_row(journal, run_id).status, run_row(journal, run_id).output)
