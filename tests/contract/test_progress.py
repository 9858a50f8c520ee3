"""What a workflow says of its progress, and how seldom that is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aiki_celery import InputInvalid, Progress, WorkflowRun, task, workflow
from aiki_celery.journal.journal import Journal
from aiki_celery.model.progress import read_progress
from aiki_celery.model.status import RunStatus
from tests.contract.counting import counting
from tests.contract.house import House
from tests.contract.rows import count, run_row
from tests.contract.stories import ALICE, BOB, token


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


@task(name="progress-work")
def work(number: int) -> int:
    return number


@workflow(name="progress-loop")
def loop(run: WorkflowRun, times: int) -> int:
    for number in range(times):
        run.progress(number, times * 2, f"at {number}")
    return times


@workflow(name="progress-growing")
def growing(run: WorkflowRun, times: int) -> int:
    for number in range(times):
        run.progress(number, number)
    return times


@workflow(name="progress-parts")
def parts(run: WorkflowRun) -> int:
    for number in range(3):
        work.run(run, number)
        run.progress(number + 1, 3)
        run.sleep(0.02)
    return 3


@workflow(name="progress-bad")
def bad(run: WorkflowRun) -> int:
    refused = 0
    wrong: list[Any] = [(-1,), (float("nan"),), (1, float("inf")), ("1",), (True,), (1, -1), (1, 2, None)]
    wrong += [(10**400,), (Decimal(1),)]
    for given in wrong:
        try:
            run.progress(*given)
        except InputInvalid:
            refused += 1
    run.progress(5, 4)
    return refused


def told(house: House, run_id: str) -> Progress | None:
    """What the handle would tell."""
    return read_progress(house.journal.views.get(run_id).progress_note)


def test_tight_loop_writes_twice(house: House) -> None:
    """The first at once, the last one with the end; nothing is journaled."""
    run_id = house.enqueue(loop, 10_000)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    with counting(house.journal) as counted:
        house.run(*taken)
    writes = [statement for statement in counted.statements if "progress_note" in statement]
    assert 2 <= len(writes) <= 20
    progress = told(house, run_id)
    assert progress is not None
    assert (9_999, 20_000, "at 9999", 0.49995) == (
        progress.done,
        progress.total,
        progress.message,
        progress.fraction,
    )
    assert 0 == count(house.journal, "steps")


def test_what_was_said_is_written_when_the_run_waits(house: House) -> None:
    """And a pass that replays says nothing again."""
    run_id = house.enqueue(parts)
    seen = []
    while (row := run_row(house.journal, run_id)).status != RunStatus.COMPLETED:
        taken = house.executor.claim(run_id, ALICE)
        if taken is None:
            continue
        with counting(house.journal) as counted:
            house.run(*taken)
        seen.append(sum("progress_note" in statement for statement in counted.statements))
        assert (progress := told(house, run_id)) is not None
        assert min(len(seen), 3) == progress.done
    assert ([1, 1, 1, 0], "3") == (seen, row.output)


def test_numbers_that_are_none_are_refused(house: House) -> None:
    """More than the total is not: that may have been an estimate."""
    assert 9 == house.result_of(bad)
    [row] = house.journal.views.find()
    progress = read_progress(row.progress_note)
    assert progress is not None
    assert (5, 4, 1.0) == (progress.done, progress.total, progress.fraction)


def test_progress_of_a_run_that_was_taken_over_is_refused(house: House) -> None:
    """And ends the pass."""
    run_id = house.enqueue(loop, 3)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    house.journal.recovery.free_process(ALICE.worker_id, ALICE.pid)
    assert house.journal.claims.claim(run_id, BOB, token()) is not None
    assert house.run(*taken).status is None
    assert told(house, run_id) is None


def test_total_that_grows_along_costs_no_more(house: House) -> None:
    """What is finished at each call is written no oftener than anything else, and the last one with the end."""
    run_id = house.enqueue(growing, 10_000)
    taken = house.executor.claim(run_id, ALICE)
    assert taken is not None
    with counting(house.journal) as counted:
        house.run(*taken)
    assert 20 >= sum("progress_note" in statement for statement in counted.statements)
    progress = told(house, run_id)
    assert progress is not None
    assert (9_999, 9_999, 1.0) == (progress.done, progress.total, progress.fraction)


@pytest.mark.parametrize(
    ("done", "total", "fraction", "text"),
    [
        (1, 4, 0.25, "1 of 4 (25%)  half"),
        (0, 0, 1.0, "0 of 0 (100%)  half"),
        (1.5, None, None, "1.5  half"),
    ],
)
def test_fraction_is_a_share_of_the_total(
    done: float, total: float | None, fraction: float | None, text: str, journal: Journal
) -> None:
    """None without a total."""
    progress = Progress(done, total, "half", journal_time(journal))
    assert (fraction, text) == (progress.fraction, str(progress))


def journal_time(journal: Journal) -> Any:
    """Any instant."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(journal.now() / 1e6, timezone.utc)
