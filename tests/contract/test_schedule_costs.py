"""What schedules cost: statements of a look and of a start, and the indexes they go by among many rows."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.planned import NAME, Planner, make_overdue, report
from tests.contract.plans import explain, rows_read
from tests.contract.rows import analyze, insert_rows, wipe
from tests.contract.test_plans import run_of

#: Schedules that are due far away, and runs of one of them that are over.
OTHERS, OVER = 5_000, 5_000

FAR = 4_102_444_800_000_000

#: Rows that may be read for an answer, tables and indexes together: a batch of schedules, or the newest runs.
MOST_ROWS = 450


def test_idle_look_is_one_statement(journal: Journal) -> None:
    """Whether there are schedules or none."""
    planner = Planner(journal)
    for _ in range(2):
        with counting(journal) as counted:
            planner.sweep()
        assert (1, 0) == counted.cost
        planner.make()


@pytest.mark.parametrize(("overlap", "statements"), [("allow", 4), ("skip", 5), ("cancel_previous", 5)])
def test_start_is_a_few_statements_and_one_commit(journal: Journal, overlap: str, statements: int) -> None:
    """The lock, the newest runs where they matter, the due times that are taken, the run, what comes next."""
    planner = Planner(journal)
    planner.make(overdue=0, overlap=overlap)
    with counting(journal) as counted:
        planner.sweep()
    assert (1 + statements, 1) == counted.cost


def test_ten_that_are_caught_up_cost_as_much_as_one(journal: Journal) -> None:
    """Their rows are one statement."""
    planner = Planner(journal)
    planner.make(overdue=9, overlap="allow", catchup_window=86_400)
    with counting(journal) as counted:
        planner.sweep()
    assert ((5, 1), 1) == (counted.cost, len(counted.executemany))


def test_declarations_that_are_there_cost_one_statement(journal: Journal) -> None:
    """The look that every worker takes from time to time."""
    planner = Planner(journal)
    planner.make()
    stored = journal.schedules.get(NAME)
    assert stored is not None
    planner.schedules.delete(NAME)
    planner.declares(stored.plan)
    assert 1 == planner.sync("worker-1")
    with counting(journal) as counted:
        assert 0 == planner.sync("worker-1")
    assert (1, 0) == counted.cost


@pytest.fixture(scope="module")
def crowded(shared_journal: Journal) -> Journal:
    """A journal with many schedules, one of which has started many runs."""
    wipe(shared_journal)
    planner = Planner(shared_journal)
    planner.make(overlap="skip")
    table = shared_journal.schema.schedules
    with shared_journal.connections.autocommit() as connection:
        row = dict(connection.execute(table.select()).mappings().one())
    others = [
        row | {"name": f"other-{number:05}", "due_at": FAR + number, "fires_at": FAR + number}
        for number in range(OTHERS)
    ]
    over = [
        run_of(number, RunStatus.COMPLETED, workflow=report.name, schedule=NAME, scheduled_for=number)
        for number in range(OVER)
    ]
    every: list[tuple[str, list[dict[str, Any]]]] = [("schedules", others), ("runs", over)]
    for name, rows in every:
        for start in range(0, len(rows), 1000):
            insert_rows(shared_journal, name, rows[start : start + 1000])
    analyze(shared_journal)
    with shared_journal.connections.autocommit() as connection:
        if shared_journal.connections.dialect == "mysql":
            connection.exec_driver_sql(f"ANALYZE TABLE {table.name}")
    make_overdue(shared_journal, 0)
    return shared_journal


def test_look_and_start_go_by_their_indexes(crowded: Journal) -> None:
    """Among thousands of schedules and of runs that are over, few rows are read."""
    planner = Planner(crowded)
    with counting(crowded) as counted:
        planner.sweep()
    assert 6 == len(counted.statements)
    runs, schedules = crowded.schema.runs.name, crowded.schema.schedules.name
    indexes = [f"{schedules}_fires", None, f"{runs}_planned", f"{runs}_planned"]
    for number, index in enumerate(indexes):
        plan = explain(crowded, counted, number)
        assert index is None or index in plan, plan
        assert rows_read(crowded, plan) <= MOST_ROWS, plan


def test_list_of_a_schedules_runs_goes_by_its_index(crowded: Journal) -> None:
    """What `run list --schedule` asks, for a schedule of few runs."""
    with counting(crowded) as counted:
        crowded.views.find(schedule="other-00001")
    plan = explain(crowded, counted)
    assert f"{crowded.schema.runs.name}_planned" in plan, plan
