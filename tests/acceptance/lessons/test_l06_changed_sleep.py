"""L6: a sleep that was lengthened in the code, or a clock that is off, does not loop and wakes nobody early."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from aiki_celery import RunStatus, WorkflowRun, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import wait
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs

LENGTH = {"seconds": 0.2}


@workflow(name="lesson-lengthened")
def lengthened(run: WorkflowRun) -> str:
    run.sleep(LENGTH["seconds"], name="cool-down")
    return "over"


def one_pass(lab: Lab, run_id: str) -> RunStatus | None:
    """Takes the run, if it is due, and runs it until it waits or ends."""
    binding = lab.aiki.binding
    taken = binding.executor.claim(run_id, binding.process.owner())
    if taken is None:
        return None
    return binding.executor.run(lengthened, *taken, Forever(), told=True).status


@pytest.mark.parametrize(("first", "later", "total"), [(0.2, 0.6, 0.6), (0.4, 0.1, 0.4)])
def test_sleep_credits_the_time_already_slept(
    first: float, later: float, total: float, embedded_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy that changes the length in the middle: at most one more wait, and no second too many."""
    monkeypatch.setitem(LENGTH, "seconds", first)
    handle = lengthened.enqueue()
    assert RunStatus.SLEEPING is one_pass(embedded_lab, handle.id)
    monkeypatch.setitem(LENGTH, "seconds", later)
    passes = 0

    def is_over() -> bool:
        nonlocal passes
        status = one_pass(embedded_lab, handle.id)
        passes += status is not None
        return status is RunStatus.COMPLETED

    eventually(is_over, 5, "the sleep to be over", interval=0.01)
    assert passes == (2 if later > first else 1)
    (run,) = read_runs(embedded_lab.journal)
    slept = (run.row["finished_at"] - run.steps[0]["started_at"]) / 1e6
    assert total <= slept < total + 1
    assert 1 == len(run.steps)


def test_clock_of_the_process_does_not_matter(
    make_lab: Callable[..., Lab], postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty milliseconds or five minutes before or behind the database: one wait, never early."""
    lab = make_lab(postgres_url, redis_url)
    true = time.time, time.time_ns
    for index, off in enumerate((0.04, -0.04, 300.0, -300.0)):
        monkeypatch.setattr(time, "time", lambda off=off: true[0]() + off)
        monkeypatch.setattr(time, "time_ns", lambda off=off: true[1]() + int(off * 1e9))
        began = time.monotonic()
        assert "over" == wait.apply((0.2,)).get()
        assert 0.2 <= time.monotonic() - began < 3
        run = read_runs(lab.journal)[index]
        assert 1 == sum(line[0] == "sleeping" for line in run.history)


def test_sleeping_run_wakes_once_on_a_worker(embedded_lab: Lab, at_rest: Callable[..., object]) -> None:
    """By whichever of two workers looks first."""
    for _ in range(2):
        embedded_lab.start_worker(APP, concurrency=1)
    handles = wait.enqueue_many([(0.5,)] * 6)
    assert ["over"] * 6 == [handle.get(timeout=20) for handle in handles]
    woken = [effect["run"] for effect in embedded_lab.effects.all("woke")]
    assert sorted(handle.id for handle in handles) == sorted(woken)
    at_rest(embedded_lab)
