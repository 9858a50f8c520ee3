"""Plain functions that give a coroutine: of a task it is awaited, of a workflow it is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from tests.contract.house import House
from tests.contract.rows import run_row


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


async def doubled(number: int) -> int:
    return 2 * number


@task(name="hidden-task")
def double(number: int) -> Any:
    return doubled(number)


@workflow(name="hidden-in-tasks")
def of_tasks(run: WorkflowRun) -> list[int]:
    return [double.run(run, 1), double.start(run, 2).result()]


@workflow(name="hidden-workflow")
def hidden(run: WorkflowRun) -> Any:
    return doubled(3)


def test_coroutine_of_a_task_is_awaited(house: House) -> None:
    """Inline and started, though nothing about the function says that it is asynchronous."""
    assert [2, 4] == house.result_of(of_tasks)


def test_coroutine_of_a_workflow_fails_the_run_and_says_what_it_is(house: House) -> None:
    """An annotation would not help, and is not spoken of."""
    house.take(run_id := house.enqueue(hidden))
    row = run_row(house.journal, run_id)
    assert ("failed", True, False) == (
        row.status,
        "a coroutine, which nobody has awaited" in row.reason,
        "annotate" in row.reason,
    )
