"""A run that fails is a task that fails: its result raises, its errbacks are called, its chord breaks."""

from __future__ import annotations

import pytest
from celery import chain, chord
from celery.exceptions import ChordError

from aiki_celery import TaskFailed, WorkflowFailed
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import add, doomed, total

with_and_without_sleep = pytest.mark.parametrize("sleep", [0.0, 0.3], ids=["straight", "suspended"])


@with_and_without_sleep
def test_async_result_raises(shop: Deployment, key: str, sleep: float) -> None:
    """The error that ended the run, as Celery passes errors on."""
    result = doomed.delay(key, sleep=sleep)
    with pytest.raises(TaskFailed, match=f"fail failed after 1 attempt: ValueError: no luck with {key}"):
        result.get(timeout=20)
    assert "FAILURE" == result.state
    assert [1] == [shop.effects.count("step", key=key, step="fail")]


@with_and_without_sleep
def test_handle_raises(shop: Deployment, key: str, sleep: float) -> None:
    """Whoever asks the journal hears the same."""
    with pytest.raises(WorkflowFailed, match=rf"doomed run .* failed: TaskFailed: .*no luck with {key}"):
        doomed.enqueue(key, sleep).get(timeout=20)


@with_and_without_sleep
def test_link_error_is_called_once(shop: Deployment, key: str, sleep: float) -> None:
    """With the request, the error and the traceback, also after a suspension."""
    errback = shop.task("plain.failed").s(key)
    result = doomed.apply_async((key, sleep), link_error=errback)
    eventually(lambda: shop.effects.count("failed", key=key), 20, "the errback")
    with pytest.raises(TaskFailed):
        result.get(timeout=20)
    assert [result.id] == [effect["id"] for effect in shop.effects.all("failed", key=key)]
    assert f"no luck with {key}" in shop.effects.all("failed", key=key)[0]["error"]


@with_and_without_sleep
def test_chain_stops_at_a_failed_run(shop: Deployment, key: str, sleep: float) -> None:
    """What would have come next is not started; the chain's errback is called."""
    canvas = chain(doomed.si(key, sleep), add.s(1))
    canvas.link_error(shop.task("plain.failed").s(key))
    result = canvas.apply_async()
    with pytest.raises(TaskFailed):
        result.parent.get(timeout=20)
    eventually(lambda: shop.effects.count("failed", key=key), 20, "the errback")
    # Celery marks the rest of the chain as failed with the same error.
    with pytest.raises(TaskFailed):
        result.get(timeout=20)


@with_and_without_sleep
def test_chord_breaks_when_a_header_run_fails(shop: Deployment, key: str, sleep: float) -> None:
    """Its body fails with ChordError, as in Celery."""
    result = chord([add.s(1, 1, sleep=sleep), doomed.s(key, sleep)])(total.s())
    eventually(lambda: result.state == "FAILURE", 20, "the body to fail")
    assert isinstance(result.result, ChordError)
    assert f"no luck with {key}" in str(result.result)


def test_wrong_argument_in_the_middle_of_a_chain_is_told(shop: Deployment, key: str) -> None:
    """A member that cannot take what came before it does not leave its caller waiting."""
    result = chain(shop.task("plain.add").s("a", "b"), add.s(1)).apply_async()
    with pytest.raises(Exception, match="add"):
        result.get(timeout=20)
