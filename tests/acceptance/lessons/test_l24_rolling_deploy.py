"""L24: in a rolling deploy, an old worker discards a new task; a run waits for a worker that has its version."""

from __future__ import annotations

from collections.abc import Callable

from aiki_celery import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons import deployed_new, deployed_old
from tests.harness.eventually import eventually

OLD, NEW = "tests.acceptance.lessons.deployed_old", "tests.acceptance.lessons.deployed_new"


def test_run_waits_for_a_worker_that_has_its_version(lab: Lab, at_rest: Callable[..., object]) -> None:
    """With an old worker alone the new runs wait while a plain task is lost; with a new one they are done."""
    old = lab.start_worker(OLD, concurrency=1)
    for _ in range(3):
        lab.app.send_task("plain-new")
    new_runs = [deployed_new.deployed.enqueue(number) for number in range(3)]
    sent = deployed_new.deployed.apply_async((3,), task_id="lesson-sent-by-message")
    assert "old" == deployed_old.deployed.enqueue(9).get(timeout=15)
    eventually(lambda: old.log().count("Received unregistered task") >= 7, 10, "all of them to be refused")
    assert {RunStatus.QUEUED} == {handle.status for handle in new_runs}

    lab.start_worker(NEW, concurrency=1)
    assert ["new"] * 3 == [handle.get(timeout=20) for handle in new_runs]
    by_message = deployed_new.deployed.handle(sent.id)
    eventually(lambda: lab.effects.count("work", number=3) == 1, 20, "the run in the message")
    assert "new" == by_message.get(timeout=10)
    assert 0 == lab.effects.count("plain new"), "the fault: what Celery discards is gone"
    assert 5 == lab.effects.count("work")
    at_rest(lab)


def test_both_workers_serve_what_they_have(lab: Lab, at_rest: Callable[..., object]) -> None:
    """Side by side on one queue, twelve runs of either version end within seconds."""
    lab.start_worker(OLD, concurrency=1)
    lab.start_worker(NEW, concurrency=1)
    handles = [version.deployed.enqueue(n) for n in range(12) for version in (deployed_old, deployed_new)]
    assert ["old", "new"] * 12 == [handle.get(timeout=20) for handle in handles]
    assert 24 == lab.effects.count("work")
    at_rest(lab)
