"""Ten thousand started steps in one run cost ten times what a thousand do, and their parent's statements no more."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from sqlalchemy import String, cast, update

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.house import House
from tests.contract.rows import run_row
from tests.harness.invariants import check_families

#: Ten thousand ends are ten thousand commits: only where one costs little.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="module")

FEW, MANY = 1_000, 10_000

#: How many of them are run, where the others are ended at once.
LAST = 100


@task(name="scale-next")
def next_number(number: int) -> int:
    return number + 1


@workflow(name="scale-fan-out")
def fan_out(run: WorkflowRun, count: int) -> int:
    return sum(run.gather(*[next_number.start(run, number) for number in range(count)]))


def kinds(statements: list[str]) -> Counter[str]:
    """How many statements of each kind there were."""
    return Counter(statement.split(None, 1)[0] for statement in statements)


def end_at_once(journal: Journal, run_id: str, left: int) -> None:
    """Ends all but so many of a run's steps, as their workers would, in two statements."""
    runs = journal.schema.runs
    mine = (runs.c.parent_id == run_id, runs.c.parent_seq > left)
    ended = {
        "status": "completed",
        "finished_at": 1,
        "due_at": None,
        "output": cast(runs.c.parent_seq, String),
    }
    with journal.connections.transaction() as connection:
        connection.execute(update(runs).where(*mine).values(**ended))
        connection.execute(update(runs).where(runs.c.id == run_id).values(await_count=left))


@pytest.mark.timeout(100)
@pytest.mark.parametrize("how", [pytest.param("one by one", marks=pytest.mark.chaos), "most at once"])
def test_ten_thousand_starts_are_linear(journal: Journal, how: str) -> None:
    """Launching, waiting and resuming are the same few statements; each step is the same few."""
    launched, each, resumed = {}, {}, {}
    for count in (FEW, MANY):
        house = House(journal)
        run_id = house.enqueue(fan_out, count)
        with counting(journal) as began:
            assert RunStatus.AWAITING_STEPS is getattr(house.take(run_id), "status", None)
        left = count
        if how == "most at once":
            left = LAST
            end_at_once(journal, run_id, left)
        house.inbox = deque(list(house.inbox)[:left])
        with counting(journal) as steps:
            while house.inbox[0] != run_id:
                house.take(house.inbox[0])
        with counting(journal) as ended:
            assert RunStatus.COMPLETED is getattr(house.take(run_id), "status", None)
        launched[count], resumed[count] = kinds(began.statements), kinds(ended.statements)
        # But for the one statement by which the last end wakes the parent.
        each[count] = (len(steps.statements) - 1) / left, steps.commits / left
        row = run_row(journal, run_id)
        assert ("completed", str(sum(range(1, count + 1))), count) == (row.status, row.output, row.children)
    assert (launched[FEW], each[FEW], resumed[FEW]) == (launched[MANY], each[MANY], resumed[MANY])
    assert ({"UPDATE": 2, "INSERT": 2}, (3, 2), {"UPDATE": 2, "SELECT": 1}) == (
        launched[MANY],
        each[MANY],
        resumed[MANY],
    )
    check_families(journal.connections.engine)
