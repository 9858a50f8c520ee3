"""L26: a worker that is asked to end leaves its run at the next step, and the run goes on elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs


def test_worker_leaves_at_the_next_step_where_a_plain_task_holds_it(
    lab: Lab, at_rest: Callable[..., object]
) -> None:
    """SIGTERM in a run and in a plain task of eight seconds each: one worker ends at once, the other after them."""
    leaving = lab.start_worker(APP, concurrency=1)
    held = lab.start_worker(APP, concurrency=1, queues=["held"])
    handle = count.enqueue(16, 0.5)
    lab.app.send_task("plain-effect", ("plain", 8), queue="held")
    eventually(lambda: lab.effects.count("plain") == 1, 10, "the plain task to begin")
    eventually(lambda: lab.effects.count("work") >= 2, 10, "the run to be under way")

    held.terminate()
    leaving.terminate()
    asked = time.monotonic()
    assert 0 == leaving.wait(6)
    assert held.is_running, "the fault: a plain task holds its worker to the end"
    done = lab.effects.count("work")
    assert done < 16
    heir = lab.start_worker(APP, concurrency=1)
    assert list(range(16)) == handle.get(timeout=30)
    assert 0 == held.wait(20)
    assert time.monotonic() - asked > 5
    assert 16 == lab.effects.count("work"), "no step was interrupted, none repeated"
    children = {child.pid for child in heir.children()}
    assert children >= {effect["pid"] for effect in lab.effects.all("work")[done:]}
    (run,) = read_runs(lab.journal)
    assert ["its worker is shutting down"] == [
        why for status, _, why in run.history[1:] if status == "queued"
    ][:1]
    at_rest(lab)
