"""Pausing, resuming and waking, with real workers."""

from __future__ import annotations

import pytest

from aiki_celery import RunStatus, WrongState
from tests.acceptance.conftest import Lab
from tests.acceptance.control.conftest import APP
from tests.acceptance.control.definitions import sleeping, stepping
from tests.harness.eventually import eventually


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_pause_and_resume(any_lab: Lab, pool: str) -> None:
    """The step under way is finished and kept, nothing is begun while it is paused, and then it goes on."""
    any_lab.start_worker(APP, pool=pool)
    handle = stepping.enqueue()
    eventually(lambda: any_lab.effects.count("slow begun"), 20)

    assert handle.pause()
    any_lab.effects.record("go on")

    eventually(lambda: handle.status is RunStatus.PAUSED, 20)
    assert not handle.pause()
    assert 0 == any_lab.effects.count("book", what="car")
    assert handle.resume()
    assert ["hotel", "flight", "car"] == handle.get(timeout=20)
    assert (1, 1) == (any_lab.effects.count("slow begun"), any_lab.effects.count("slow done"))
    assert 1 == handle.refresh().attempt


def test_wake(any_lab: Lab) -> None:
    """A sleep of thirty days returns True within seconds; who does not sleep cannot be woken."""
    any_lab.start_worker(APP)
    handle, other = sleeping.enqueue(), stepping.enqueue()
    eventually(lambda: handle.status is RunStatus.SLEEPING, 20)

    handle.wake()

    assert handle.get(timeout=20) is True
    eventually(lambda: any_lab.effects.count("slow begun"), 20)
    with pytest.raises(WrongState, match="running"):
        other.wake()
    any_lab.effects.record("go on")
    other.get(timeout=20)
