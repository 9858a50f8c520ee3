"""Async tasks on every pool: awaited, once each, on one loop per process; a mishap is that step's alone."""

from __future__ import annotations

from typing import Any

import pytest

from aiki_celery import WorkflowCancelled
from tests.acceptance.async_tasks.definitions import (
    cancelled,
    delegating,
    fetching,
    greeting,
    hanging,
    mishaps,
)
from tests.acceptance.async_tasks.echo import EchoServer
from tests.acceptance.conftest import Lab
from tests.harness.eventually import eventually


def test_steps_are_awaited_and_keep_their_connection(pool_lab: Lab, echo: EchoServer) -> None:
    """Inline and started ones; as many connections as there are processes, not steps."""
    handle = fetching.enqueue(echo.port, 10)

    assert sum(range(20)) == handle.get(timeout=30)

    fetched = effects_of(pool_lab, handle.id, "fetch")
    assert list(range(20)) == sorted(e["number"] for e in fetched)
    assert len({e["pid"] for e in fetched}) == echo.connections


def test_failures_stay_with_their_step(pool_lab: Lab, echo: EchoServer) -> None:
    """Failed attempts keep their details; a SystemExit ends no process and no loop."""
    exited = (
        "RuntimeError: the coroutine of 'async-exits' ended with SystemExit(3), which ends no process where a "
        "coroutine raises it"
    )
    handle = mishaps.enqueue(echo.port)

    assert ["3", exited, "7", exited, "7"] == handle.get(timeout=30)

    told = effects_of(pool_lab, handle.id)
    assert [None, {"attempt": 1}, {"attempt": 2}] == [e["details"] for e in told if e["name"] == "flaky"]
    assert (1, 1) == (len({e["pid"] for e in told}), echo.connections)


def test_a_workflow_is_started_from_the_worker_s_loop(pool_lab: Lab) -> None:
    """An async task awaits what web views await, on gevent as well."""
    child = delegating.enqueue(5).get(timeout=30)

    assert "hello 5" == greeting.handle(child).get(timeout=30)


@pytest.mark.parametrize(("how", "attempts"), [("blocking", 2), ("deaf", 1), ("sleepy", 1)])
def test_a_hang_costs_its_own_attempt_alone(pool_lab: Lab, echo: EchoServer, how: str, attempts: int) -> None:
    """Cancelled where that helps, given up where it does not; the next step of the same process works."""
    handle = hanging.enqueue(how, echo.port)

    outcome, fetched = handle.get(timeout=40)

    tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    said = f"StepTimeout: async-{how} took longer than its timeout of 0.5 s."
    assert (f"async-{how} failed after {tried}: {said}", "7") == (outcome, fetched)
    hung = effects_of(pool_lab, handle.id, "hang")
    assert list(range(1, attempts + 1)) == [e["attempt"] for e in hung]
    assert {e["pid"] for e in hung} == {e["pid"] for e in effects_of(pool_lab, handle.id, "fetch")}
    assert (how == "sleepy") == bool(effects_of(pool_lab, handle.id, "cleaned up"))


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_cancelled_run_cancels_the_coroutine(pool_lab: Lab, where: str) -> None:
    """The step in flight ends within a heartbeat, and the run's code cleans up."""
    handle = cancelled.enqueue(where)
    eventually(lambda: effects_of(pool_lab, handle.id, "lasting began"), 20, "the step to begin")

    handle.cancel("enough")

    with pytest.raises(WorkflowCancelled, match="enough"):
        handle.get(timeout=20)
    eventually(lambda: effects_of(pool_lab, handle.id, "lasting ended"), 10, "the coroutine to end")
    assert [len("enough")] == [e["number"] for e in effects_of(pool_lab, handle.id, "greet")]
    assert 1 == len(effects_of(pool_lab, handle.id, "lasting began"))


def effects_of(lab: Lab, run_id: str, name: str | None = None) -> list[dict[str, Any]]:
    """What a run's steps did."""
    return [effect for effect in lab.effects.all(name) if effect["key"].startswith(run_id)]
