"""``sys.exit`` in code: where its process has others to serve, that code has failed; else it is a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiki_celery import WorkflowFailed
from tests.acceptance.conftest import Lab
from tests.acceptance.exits.definitions import following, leaving, odd, quitting, surviving
from tests.harness.worker import WorkerProcess

APP = "tests.acceptance.exits.app"


@pytest.fixture(params=["threads", "gevent", "solo"])
def worker(request: pytest.FixtureRequest, embedded_lab: Lab) -> WorkerProcess:
    """A worker whose steps share its main process, with room for one message at a time."""
    return embedded_lab.start_worker(APP, pool=request.param, concurrency=1)


def test_exit_of_a_task_is_a_failed_attempt(embedded_lab: Lab, worker: WorkerProcess) -> None:
    """The retry policy decides, the workflow hears of it, and the worker goes on; an existing Celery task as well."""
    outcomes = leaving.enqueue().get(timeout=30)

    end = "which ends no process that others run in"
    assert [
        f"2 RuntimeError: task 'exits-leave' ended with SystemExit(3), {end}",
        f"2 RuntimeError: task 'exits-leave' ended with SystemExit(4), {end}",
        f"1 RuntimeError: task 'exits-interrupt' ended with KeyboardInterrupt(), {end}",
        f"1 RuntimeError: task 'exits-plain' ended with SystemExit(5), {end}",
    ] == outcomes
    assert 4 * [worker.pid] == [effect["pid"] for effect in embedded_lab.effects.all("leave")]
    assert worker.is_running


def test_exit_of_a_workflow_fails_its_run(embedded_lab: Lab, worker: WorkerProcess) -> None:
    """What was done is undone, and the worker goes on."""
    with pytest.raises(WorkflowFailed, match=r"workflow 'exits-quitting' ended with SystemExit\('enough'\)"):
        quitting.enqueue().get(timeout=20)

    assert 1 == len(embedded_lab.effects.all("undo"))
    assert "done" == following.enqueue().get(timeout=20)


@pytest.mark.parametrize("worker", ["threads"], indirect=True)
def test_what_is_neither_error_nor_exit_is_a_crash(
    embedded_lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    """The run is found unheld, and begins anew; the worker takes others meanwhile."""
    handle = odd.enqueue(str(tmp_path / "flag"))

    assert ["done", "found"] == [following.enqueue().get(timeout=20), handle.get(timeout=40)]
    assert worker.is_running


def test_exit_of_a_process_of_its_own_is_a_crash(embedded_lab: Lab, tmp_path: Path) -> None:
    """It ends, and the step is run again in another one: that costs no attempt."""
    embedded_lab.start_worker(APP, pool="prefork", concurrency=1)

    assert "stayed" == surviving.enqueue(str(tmp_path / "flag")).get(timeout=30)
    told = embedded_lab.effects.all("leave once")
    assert (2, [1, 1]) == (len({effect["pid"] for effect in told}), [effect["attempt"] for effect in told])
