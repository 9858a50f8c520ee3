"""L30: a replay reads the record once, however long it is."""

from __future__ import annotations

import pytest

from aiki_celery import RunStatus, WorkflowRun, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.definitions import work
from tests.contract.counting import counting
from tests.harness.eventually import eventually


@workflow(name="lesson-replayed")
def replayed(run: WorkflowRun, steps: int) -> int:
    total = sum(work.run(run, number, 0.0) for number in range(steps))
    run.sleep(0.01)
    return total


@pytest.mark.parametrize("steps", [1, 300])
def test_replay_costs_one_select(steps: int, embedded_lab: Lab) -> None:
    """The claim, the record, the end of the run: no question per step."""
    binding = embedded_lab.aiki.binding
    owner = binding.process.owner()
    handle = replayed.enqueue(steps)
    first = binding.executor.claim(handle.id, owner)
    assert first is not None
    due_at = binding.executor.run(replayed, *first, Forever(), told=True).due_at
    assert due_at is not None
    eventually(lambda: binding.journal.now() > due_at, 5, "the sleep to be over", interval=0.005)

    with counting(binding.journal) as counted:
        second = binding.executor.claim(handle.id, owner)
        assert second is not None
        outcome = binding.executor.run(replayed, *second, Forever(), told=True)

    assert RunStatus.COMPLETED is outcome.status
    assert steps + 1 == len(second[1])
    assert steps == embedded_lab.effects.count("work")
    # This process says now and then that it is alive; that is nothing of the run's.
    of_run = [statement for statement in counted.statements if "aiki_workers" not in statement]
    assert ["UPDATE", "SELECT", "UPDATE"] == [statement.split()[0] for statement in of_run]
