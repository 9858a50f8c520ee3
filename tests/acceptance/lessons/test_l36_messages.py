"""L36: inline steps cost no message, and a drained run is not taken back by the worker that lets it go."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, wait
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs


def pushed(lab: Lab) -> int:
    """How many messages have been put into a queue of this Redis so far."""
    with redis.Redis.from_url(lab.broker) as client:
        calls = client.info("commandstats")
    return sum(calls.get(f"cmdstat_{verb}", {"calls": 0})["calls"] for verb in ("lpush", "rpush"))


def test_run_of_ten_steps_costs_one_message(lab: Lab, at_rest: Callable[..., object]) -> None:
    """One to start it; one more for a wait, and nothing while it lasts."""
    lab.start_worker(APP, concurrency=1)
    before = pushed(lab)
    assert list(range(10)) == count.enqueue(10, 0.0).get(timeout=20)
    assert 1 == pushed(lab) - before

    before = pushed(lab)
    assert "over" == wait.enqueue(1.0).get(timeout=20)
    assert 2 == pushed(lab) - before
    at_rest(lab)


def test_drained_run_goes_on_elsewhere(lab: Lab, at_rest: Callable[..., object]) -> None:
    """Both workers are there; the one that ends never claims its own continuation."""
    workers = [lab.start_worker(APP, concurrency=1) for _ in range(2)]
    handle = count.enqueue(10, 0.3)
    begun = eventually(lambda: lab.effects.all("work"), 10, "the run to be under way")
    (first,) = [worker for worker in workers if begun[0]["pid"] in [child.pid for child in worker.children()]]
    first.terminate()
    assert list(range(10)) == handle.get(timeout=20)
    assert 0 == first.wait(10)
    (run,) = read_runs(lab.journal)
    owners = [why.split()[2] for status, _, why in run.history if status == "running"]
    assert 2 == len(owners) == len(set(owners))
    assert 10 == lab.effects.count("work")
    at_rest(lab)
