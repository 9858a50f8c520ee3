"""A cancel, whatever the run is doing: its code cleans up once, and nothing else is begun."""

from __future__ import annotations

import pytest

from aiki_celery import RunFinished, RunStatus, WorkflowCancelled
from tests.acceptance.conftest import Lab
from tests.acceptance.control.conftest import APP, undone
from tests.acceptance.control.definitions import (
    late,
    root,
    sleeping,
    slow_cleaning,
    stepping,
    watching,
)
from tests.harness.eventually import eventually

both_pools = pytest.mark.parametrize("pool", ["prefork", "threads"])


@both_pools
def test_cancel_in_the_middle_of_a_step(any_lab: Lab, pool: str) -> None:
    """The step is finished and undone with the others, last first; the one after it is never begun (I11)."""
    any_lab.start_worker(APP, pool=pool)
    handle = stepping.enqueue()
    eventually(lambda: any_lab.effects.count("slow begun"), 20, "the second step to begin")

    assert handle.cancel("the weather")
    assert not handle.cancel("once more")
    any_lab.effects.record("go on")

    with pytest.raises(WorkflowCancelled, match="the weather"):
        handle.get(timeout=20)
    assert ["flight", "hotel"] == undone(any_lab)
    assert ["hotel"] == [effect["what"] for effect in any_lab.effects.all("book")]
    assert 1 == any_lab.effects.count("slow done")
    assert not handle.cancel("it is over")


def test_cancel_of_a_sleeping_run(any_lab: Lab) -> None:
    """It is woken to clean up, thirty days early."""
    worker = any_lab.start_worker(APP)
    handle = sleeping.enqueue()
    eventually(lambda: handle.status is RunStatus.SLEEPING, 20)

    handle.cancel("no holiday")

    with pytest.raises(WorkflowCancelled, match="no holiday"):
        handle.get(timeout=20)
    assert ["hotel"] == undone(any_lab)
    # It was wanted, so nobody is alarmed.
    eventually(
        lambda: f"[{handle.id}] raised expected: WorkflowCancelled" in worker.log(), 10, "Celery's word"
    )
    assert "ERROR" not in worker.log()


def test_cancel_of_a_run_that_has_not_begun(any_lab: Lab) -> None:
    """There is nothing to clean up, and no worker is needed."""
    handle = sleeping.enqueue()
    handle.cancel()
    with pytest.raises(WorkflowCancelled):
        handle.get(timeout=1)
    any_lab.start_worker(APP)
    other = stepping.enqueue()
    any_lab.effects.record("go on")
    assert ["hotel", "flight", "car"] == other.get(timeout=20)
    assert 1 == any_lab.effects.count("book", what="hotel")
    with pytest.raises(RunFinished, match="completed"):
        other.cancel()


@both_pools
def test_cancel_of_three_levels(any_lab: Lab, pool: str) -> None:
    """Each level cleans up, what was started is over, and the root waits for its child's clean-up."""
    any_lab.start_worker(APP, pool=pool, concurrency=4)
    handle = root.enqueue()
    eventually(
        lambda: all(any_lab.effects.count("book", what=what) for what in ("left", "right")), 20, "the leaves"
    )
    eventually(lambda: any_lab.effects.count("slow begun"), 20, "the started step to begin")

    handle.cancel("all of it")

    with pytest.raises(WorkflowCancelled):
        handle.get(timeout=20)

    def are_over() -> bool:
        return all(run.status is RunStatus.CANCELLED for run in any_lab.aiki.journal.views.find(limit=20))

    eventually(are_over, 20, "all of them to be cancelled")
    assert {"left", "right", "branch", "root"} == set(undone(any_lab))
    assert 4 == len(undone(any_lab))
    assert undone(any_lab).index("branch") < undone(any_lab).index("root")
    any_lab.effects.record("never")


def test_clean_up_that_is_killed_is_gone_on_with(any_lab: Lab) -> None:
    """kill -9 in the middle of it: what was undone is not undone again, and the rest is."""
    worker = any_lab.start_worker(APP, concurrency=1)
    handle = slow_cleaning.enqueue()
    eventually(lambda: handle.status is RunStatus.SLEEPING, 20)
    handle.cancel("the weather")
    (begun,) = eventually(lambda: any_lab.effects.all("undo begun"), 20, "the clean-up to be under way")

    worker.kill_child(begun["pid"])
    any_lab.effects.record("go on")

    with pytest.raises(WorkflowCancelled):
        handle.get(timeout=20)
    assert ["car", "flight", "hotel"] == undone(any_lab)
    assert 2 == any_lab.effects.count("undo begun")


def test_step_that_reports_ends_early(any_lab: Lab) -> None:
    """Its heartbeat raises, long before it would have come to its end."""
    any_lab.start_worker(APP)
    handle = watching.enqueue()
    eventually(lambda: any_lab.effects.count("slow begun"), 20)

    handle.cancel("boring")

    with pytest.raises(WorkflowCancelled, match="boring"):
        handle.get(timeout=10)
    assert ["film"] == undone(any_lab)


def test_deadline_cancels_a_run(any_lab: Lab) -> None:
    """By itself, and its code cleans up; an option of the start goes before that of the workflow."""
    any_lab.start_worker(APP)
    handle, patient = late.enqueue(), late.options(deadline=3600).enqueue()

    with pytest.raises(WorkflowCancelled, match="its deadline has passed"):
        handle.get(timeout=20)

    assert ["hotel"] == undone(any_lab)
    assert RunStatus.SLEEPING is patient.status
    patient.cancel()
