"""L31: a worker taken for dead that wakes again can write nothing, and any other worker takes over its runs."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs


def test_zombie_is_refused(lab: Lab, at_rest: Callable[..., object]) -> None:
    """SIGSTOP in a step for longer than worker_ttl; another worker goes on; SIGCONT: the write is refused."""
    zombie = lab.start_worker(APP, concurrency=1)
    handle = count.enqueue(3, 1.0)
    eventually(lambda: lab.effects.count("work") == 2, 15, "the second step to begin")
    zombie.stop()
    heir = lab.start_worker(APP, concurrency=1)

    assert [0, 1, 2] == handle.get(timeout=30)
    before = read_runs(lab.journal)
    zombie.cont()
    refused = eventually(lambda: lab.effects.all("refused"), 15, "the zombie's write to be refused")
    assert [(handle.id, 1)] == [(effect["run"], effect["epoch"]) for effect in refused]
    assert [1, 2, 1] == [lab.effects.count("work", number=number) for number in range(3)]
    (run,) = before
    assert [1, 2, 2] == [step["epoch"] for step in run.steps]
    at_rest(lab, crashes=1, earlier=before)

    # Both are of use afterwards.
    assert [[0]] * 4 == [later.get(timeout=20) for later in count.enqueue_many([(1, 0.3)] * 4)]
    assert zombie.is_running
    assert heir.is_running
