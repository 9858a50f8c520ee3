"""L20: a task longer than Redis' visibility timeout is delivered again while it runs; a workflow's steps run once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.definitions import take_long
from tests.harness.eventually import eventually


def test_long_steps_run_once_where_a_plain_task_runs_twice(
    lab: Lab, at_rest: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a timeout of 2 s and steps of 6 s or longer, however the run was started."""
    monkeypatch.setenv("LESSON_VISIBILITY_TIMEOUT", "2")
    lab.start_worker(APP, pool="threads", concurrency=4)
    lab.app.send_task("plain-effect", ("plain", 6, "delivered again"))
    handle = take_long.enqueue(6.0, "delivered again")
    sent = take_long.delay(6.0, "delivered again")
    eventually(lambda: lab.effects.count("plain") == 1 and lab.effects.count("work") == 2, 10, "all to run")
    begun = time.time()
    eventually(lambda: time.time() > begun + 2.2, 5, "the visibility timeout")

    # A worker that joins looks for messages whose time is over at once; others do so every hundred seconds.
    lab.start_worker(APP, pool="threads", concurrency=4)
    eventually(lambda: lab.effects.count("plain") == 2, 20, "the plain task to run a second time")
    lab.effects.record("delivered again")

    assert "done" == handle.get(timeout=20)
    assert "done" == take_long.handle(sent.id).get(timeout=20)
    eventually(lambda: lab.effects.count("plain ended") == 2, 20, "the plain task to end twice")
    assert 2 == lab.effects.count("plain")
    assert sorted([handle.id, sent.id]) == sorted(e["key"].split(":")[0] for e in lab.effects.all("work"))
    at_rest(lab)
