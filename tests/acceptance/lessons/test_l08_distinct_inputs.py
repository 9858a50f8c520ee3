"""L8: inputs that only look alike have addresses of their own, and keep their results on a replay."""

from __future__ import annotations

from datetime import date
from typing import Any

from aiki_celery import WorkflowRun, task, workflow
from tests.acceptance.conftest import Lab
from tests.harness.invariants import read_runs
from tests.harness.telling import tell


@task(name="lesson-look-at-day")
def look_at_day(day: date) -> str:
    tell("look")
    return day.isoformat()


@task(name="lesson-look-at-set")
def look_at_set(values: set[int]) -> list[int]:
    tell("look")
    return sorted(values)


@task(name="lesson-look-at-number")
def look_at_number(number: float | None) -> str:
    tell("look")
    return repr(number)


@workflow(name="lesson-lookalikes")
def lookalikes(run: WorkflowRun) -> list[Any]:
    days = [look_at_day.run(run, date(2024, 1, day)) for day in (1, 2, 3)]
    sets = [look_at_set.run(run, values) for values in (set(), {1}, {1, 2})]
    numbers = [look_at_number.run(run, number) for number in (None, float("nan"), float("inf"), 0.0)]
    run.sleep(0.01)
    again = [look_at_day.run(run, date(2024, 1, day)) for day in (4, 5)]
    return [days, sets, numbers, again]


def test_lookalikes_have_addresses_and_results_of_their_own(embedded_lab: Lab) -> None:
    """Dates, sets, NaN and null, through a run that is replayed in the middle."""
    result = lookalikes.apply().get()
    assert [
        ["2024-01-01", "2024-01-02", "2024-01-03"],
        [[], [1], [1, 2]],
        ["None", "nan", "inf", "0.0"],
        ["2024-01-04", "2024-01-05"],
    ] == result
    (run,) = read_runs(embedded_lab.journal)
    addresses = [step["address"] for step in run.steps if step["kind"] == "task"]
    assert 12 == len(addresses) == len(set(addresses))
    assert 12 == embedded_lab.effects.count("look"), "nothing was run again, nothing left out"
    assert run.row["encoding"] >= 1
