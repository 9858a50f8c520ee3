"""L25: a run that kills its worker every time ends as stalled, not in an endless loop, and holds nobody else up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery import RunStatus, WorkflowFailed
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, hunger, poison
from tests.harness.eventually import eventually

Rest = Callable[..., object]


@pytest.mark.parametrize("how", ["exit", "killed"])
def test_run_that_kills_its_process_is_stalled(
    how: str, lab: Lab, at_rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By os._exit, or by SIGKILL as the kernel does it when memory is out; other runs go on all the while."""
    monkeypatch.setenv("AIKI_MAX_RECOVERIES", "3")
    lab.start_worker(APP, concurrency=2)
    poisoned = poison.enqueue(how)
    others = count.enqueue_many([(3, 0.1)] * 4)

    assert [[0, 1, 2]] * 4 == [handle.get(timeout=30) for handle in others]
    eventually(lambda: poisoned.status is RunStatus.STALLED, 30, "the poison to be stalled")
    assert "crash_loop" == poisoned.refresh().reason
    assert 1 + 3 - 1 <= lab.effects.count("deadly") <= 1 + 3
    assert 1 == lab.effects.count("work", key=first_step(poisoned.id, lab)), (
        "finished steps are not run again"
    )
    deaths = sum("recovered" in line.reason or "crash_loop" in line.reason for line in poisoned.history())
    recovered = sum(line.reason.startswith("recovered") for handle in others for line in handle.history())
    at_rest(lab, stalled=[poisoned.id], crashes=deaths + recovered)


def test_stalled_run_goes_on_when_it_is_requeued(
    lab: Lab, at_rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its crash count starts anew; it is stalled again if its cause was not mended."""
    monkeypatch.setenv("AIKI_MAX_RECOVERIES", "1")
    lab.start_worker(APP, concurrency=1)
    handle = poison.enqueue("exit")
    eventually(lambda: handle.status is RunStatus.STALLED, 30, "the run to be stalled")
    assert 1 == lab.effects.count("deadly")
    handle.requeue()
    eventually(lambda: lab.effects.count("deadly") == 2, 30, "another try")
    eventually(lambda: handle.status is RunStatus.STALLED, 30, "the run to be stalled again")
    at_rest(lab, stalled=[handle.id], crashes=2)


def test_step_out_of_memory_fails_as_any_other(lab: Lab, at_rest: Rest) -> None:
    """Under RLIMIT_AS the error can be caught: it is the step's, and its worker lives on."""
    worker = lab.start_worker(APP, concurrency=1)
    handle = hunger.enqueue()
    with pytest.raises(WorkflowFailed, match="MemoryError"):
        handle.get(timeout=20)
    (child,) = worker.children()
    assert [0] == count.enqueue(1, 0.0).get(timeout=20)
    assert [child] == worker.children(), "the pool's process is the same"
    assert 1 == lab.effects.count("hungry")
    at_rest(lab)


def first_step(run_id: str, lab: Lab) -> str:
    """The key of the run's harmless step."""
    (key,) = {e["key"] for e in lab.effects.all("work") if e["key"].startswith(run_id)}
    return str(key)
