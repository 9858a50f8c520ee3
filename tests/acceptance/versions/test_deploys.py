"""V1, V2: workers with old and new code, one after the other and side by side; every run ends as it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiki_celery import RunStatus, WorkflowHandle
from tests.acceptance.conftest import Lab
from tests.acceptance.versions import app as deployed
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants
from tests.harness.worker import WorkerProcess

APP = "tests.acceptance.versions.app"
OLD = ["charge", "ship"]
NEW = ["reserve", "charge", "ship"]


def worker(lab: Lab, code: str) -> WorkerProcess:
    """A worker that has this code."""
    return lab.start_worker(APP, concurrency=2, env={"DEPLOYED": code})


def retire(old: WorkerProcess) -> None:
    """Stops a worker as a deploy does."""
    old.terminate()
    old.wait()


def states(handles: Sequence[WorkflowHandle[Any]]) -> set[RunStatus]:
    """The states of some runs."""
    return {handle.status for handle in handles}


def in_flight(lab: Lab, count: int) -> list[WorkflowHandle[list[str]]]:
    """Runs that sleep in the middle, all of them at once."""
    handles = deployed.order_one.enqueue_many([(order,) for order in range(count)])
    eventually(lambda: lab.effects.count("act", what="charge") == count, 10, "all of them to be charged")
    return handles


def check(lab: Lab) -> None:
    """Nothing is left, and every step was done once."""
    eventually(lambda: check_invariants(lab.journal, lab.effects), 8, "a journal at rest")


def test_deploy_that_inserts_a_step_is_stopped_and_mended_by_a_patch(lab: Lab) -> None:
    """Runs in flight are stalled by the bare insert, and go on without the step once it is guarded."""
    old = worker(lab, "original")
    runs = in_flight(lab, 3)
    retire(old)

    bad = worker(lab, "inserted")
    eventually(lambda: states(runs) == {RunStatus.STALLED}, 10, "them to be stalled")
    assert {"diverged"} == {handle.refresh().reason for handle in runs}
    assert NEW == deployed.order_one.enqueue(10).get(timeout=10), "a new run is not hindered"
    retire(bad)
    assert 3 == lab.effects.count("act", what="charge") - 1

    worker(lab, "guarded")
    for handle in runs:
        handle.requeue()
    assert [OLD] * 3 == [handle.get(timeout=10) for handle in runs]
    assert NEW == deployed.order_one.enqueue(11).get(timeout=10)
    check(lab)
    assert (5, 2) == (lab.effects.count("act", what="charge"), lab.effects.count("act", what="reserve"))


def test_rolling_deploy_keeps_runs_with_their_version(lab: Lab) -> None:
    """Old workers are replaced one by one while runs of either version are started and sleep: each ends as it began."""
    first, second = worker(lab, "original"), worker(lab, "original")
    runs = in_flight(lab, 6)
    worker(lab, "two")
    retire(first)
    two = [deployed.order_two.enqueue(order) for order in range(20, 26)]
    one = [deployed.order_one.enqueue(order) for order in range(30, 33)]
    assert [["second"]] * 6 == [handle.get(timeout=20) for handle in two]
    retire(second)
    by_name = lab.app.send_task("deploys-order", (40,))
    assert [OLD] * 9 == [handle.get(timeout=20) for handle in [*runs, *one]]
    bare = deployed.order_two.handle(by_name.id)
    eventually(lambda: lab.effects.count("act", order=40) == 1, 10, "the run by its bare name")
    assert ["second"] == bare.get(timeout=10)
    assert {"2.0.0"} == {bare.refresh().version, two[0].refresh().version}
    check(lab)
    assert (9, 9, 7) == tuple(lab.effects.count("act", what=what) for what in ("charge", "ship", "second"))


def test_old_worker_alone_takes_no_new_version_and_loses_none(lab: Lab) -> None:
    """It serves its own, and the others wait for the worker that has them."""
    worker(lab, "original")
    two = [deployed.order_two.enqueue(order) for order in range(4)]
    assert OLD == deployed.order_one.enqueue(10).get(timeout=15)
    assert ({RunStatus.QUEUED}, 0) == (states(two), lab.effects.count("act", what="second"))
    worker(lab, "two")
    assert [["second"]] * 4 == [handle.get(timeout=20) for handle in two]
    check(lab)
