"""L20, L31, for steps on queues of their own: redelivered, orphaned, or a zombie's, they take effect once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import redis

from tests.acceptance.conftest import TIMINGS, Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.siblings import APART, many_apart, one_beside, one_gated
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs

#: Seconds: the time after which a worker counts as dead, and what the sweep and the broker take.
SOON = float(TIMINGS["AIKI_WORKER_TTL"]) + 3.0

STEPS = 6


def test_step_of_a_killed_worker_is_run_by_another(
    lab: Lab, tmp_path: Path, at_rest: Callable[..., object]
) -> None:
    """SIGKILL to the whole worker in the middle of a step: another has it within the time to live and little more."""
    gate = tmp_path / "gate"
    first = lab.start_worker(APP, concurrency=1)
    handle = one_gated.enqueue(str(gate))
    eventually(lambda: lab.effects.count("gated") == 1, 15, "the step to begin")
    second = lab.start_worker(APP, concurrency=1)
    killed = time.monotonic()
    first.kill_group()
    eventually(lambda: lab.effects.count("gated") == 2, SOON, "the step to begin again")
    within = time.monotonic() - killed
    gate.touch()

    assert 1 == handle.get(timeout=15)
    assert within <= SOON
    pids = [effect["pid"] for effect in lab.effects.all("gated")]
    assert pids[1] in {child.pid for child in second.children()}
    at_rest(lab, crashes=1)


def test_message_of_a_step_that_comes_again_runs_nothing(lab: Lab, at_rest: Callable[..., object]) -> None:
    """Every message is there three times before the steps are taken, and once more after they are over."""
    lab.start_worker(APP, queues=["celery"], concurrency=1)
    handle = many_apart.enqueue(STEPS)
    with redis.Redis.from_url(lab.broker) as client:
        eventually(lambda: client.llen(APART) == STEPS, 15, "the steps' messages")
        messages = client.lrange(APART, 0, -1)
        client.lpush(APART, *messages, *messages)
        lab.start_worker(APP, queues=[APART], concurrency=2)
        assert list(range(STEPS)) == handle.get(timeout=20)
        client.lpush(APART, *messages)
        eventually(lambda: client.llen(APART) == client.hlen("unacked") == 0, 15, "empty queues")

    assert [1] * STEPS == [lab.effects.count("apart", number=number) for number in range(STEPS)]
    steps = [run.row for run in read_runs(lab.journal) if run.row["kind"] == "step"]
    assert [1] * STEPS == [row["epoch"] for row in steps]
    at_rest(lab)


def test_zombie_of_a_started_step_is_refused(lab: Lab, at_rest: Callable[..., object]) -> None:
    """SIGSTOP in the step for longer than worker_ttl; another worker runs it; SIGCONT: the zombie's end is refused."""
    zombie = lab.start_worker(APP, concurrency=1)
    handle = one_beside.enqueue(1.0)
    eventually(lambda: lab.effects.count("beside") == 1, 15, "the step to begin")
    zombie.stop()
    lab.start_worker(APP, concurrency=1)

    assert 1 == handle.get(timeout=30)
    before = read_runs(lab.journal)
    zombie.cont()
    refused = eventually(lambda: lab.effects.all("refused"), 15, "the zombie's end to be refused")
    (step,) = [run for run in before if run.row["kind"] == "step"]
    assert [(step.id, 1)] == [(effect["run"], effect["epoch"]) for effect in refused]
    assert (2, 2, 1) == (
        lab.effects.count("beside"),
        step.row["epoch"],
        sum("what it waited for is over" in line[2] for run in before for line in run.history),
    )
    at_rest(lab, crashes=1, earlier=before)
    assert before == read_runs(lab.journal), "the journal is as it was"
