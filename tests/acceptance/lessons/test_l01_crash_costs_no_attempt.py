"""L1: a crash is not a failure: the interrupted step runs again, even where the policy is never to retry."""

from __future__ import annotations

from collections.abc import Callable

from aiki_celery import Retry
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import count, work
from tests.harness.eventually import eventually
from tests.harness.invariants import read_runs


def test_interrupted_step_runs_again_as_the_same_attempt(
    embedded_lab: Lab, at_rest: Callable[..., object]
) -> None:
    """SIGKILL in the second of three steps: it alone is repeated, as attempt 1."""
    lab = embedded_lab
    assert repr(Retry.never()) == repr(work.settings.retry)
    worker = lab.start_worker(APP, concurrency=1)
    handle = count.enqueue(3, 0.5)
    (second,) = eventually(lambda: lab.effects.all("work", number=1), 15, "the second step to begin")
    worker.kill_child(second["pid"])
    assert [0, 1, 2] == handle.get(timeout=20)
    assert [1, 2, 1] == [lab.effects.count("work", number=number) for number in range(3)]
    (run,) = read_runs(lab.journal)
    assert [1, 1, 1] == [step["attempt"] for step in run.steps]
    assert {1} == {effect["attempt"] for effect in lab.effects.all("work")}
    assert 1 == run.row["attempt"]
    at_rest(lab, crashes=1, max_attempts={"lesson-work": 1})
