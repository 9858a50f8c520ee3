"""A run is started the Aiki way and in every way Celery knows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from celery.exceptions import TaskRevokedError

from aiki_celery import InputInvalid, RunNotFound, RunStatus
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment
from tests.integration.celery.flows import add, bill, journey, versioned_nine


def test_enqueue_gives_a_handle_with_the_result(shop: Deployment) -> None:
    """Journal first, then the message, then the result from the journal."""
    handle = add.enqueue(2, 3)
    assert 5 == handle.get(timeout=20)
    assert [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.COMPLETED] == [t.status for t in handle.history()]


def test_enqueue_many_starts_every_call(shop: Deployment) -> None:
    """The handles come in the order of the calls."""
    handles = add.enqueue_many([(number, 1) for number in range(20)])
    assert list(range(1, 21)) == [handle.get(timeout=20) for handle in handles]


def test_enqueue_with_a_delay_waits_in_the_journal(shop: Deployment) -> None:
    """The run is `scheduled` until its time has come, and never early."""
    handle = add.options(delay=0.5).enqueue(1, 1)
    assert RunStatus.SCHEDULED is handle.status
    assert 2 == handle.get(timeout=20)
    view = handle.refresh()
    assert view.claimed_at - view.created_at >= 500_000


def test_enqueue_takes_queue_and_priority(shop: Deployment) -> None:
    """Both reach the journal and the run is done by a worker of that queue."""
    handle = add.options(queue="express", priority=3).enqueue(1, 2)
    assert 3 == handle.get(timeout=20)
    assert "express" == handle.refresh().queue


def test_delay_sends_the_arguments_and_keeps_the_id(shop: Deployment) -> None:
    """The id of the AsyncResult is the id of the run."""
    result = add.delay(20, y=3)
    assert 23 == result.get(timeout=20)
    assert 23 == add.handle(result.id).get(timeout=5)


def test_delay_refuses_bad_arguments_before_anything_is_sent(shop: Deployment) -> None:
    """The caller sees the mistake, and no message is made of it."""
    with shop.client.connection_for_read() as connection:
        channel = connection.default_channel
        with pytest.raises(InputInvalid, match=r"add.*'?y'?"):
            add.apply_async((1, "two"), queue="nobody")
        with pytest.raises(InputInvalid, match="bill"):
            bill.apply_async(({"id": "o-1"},), queue="nobody")
        assert 0 == channel.client.llen("nobody")
        add.apply_async((1, 2), queue="nobody")
        assert 1 == channel.client.llen("nobody"), "a good start does reach this queue"


@pytest.mark.parametrize("how", ["countdown", "eta"])
def test_apply_async_is_not_early(shop: Deployment, how: str) -> None:
    """`countdown` and `eta` are Celery's."""
    moment = datetime.now(timezone.utc) + timedelta(seconds=1)
    options = {"countdown": 1} if how == "countdown" else {"eta": moment}
    result = add.apply_async((1, 2), **options)
    assert 3 == result.get(timeout=20)
    claimed = datetime.fromtimestamp(add.handle(result.id).refresh().claimed_at / 1e6, timezone.utc)
    assert claimed >= moment - timedelta(milliseconds=50)


def test_apply_async_expires(shop: Deployment) -> None:
    """A start that comes too late is revoked, and no run is made of it."""
    result = add.apply_async((1, 2), expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)
    assert not _is_known(shop, result.id)


def test_apply_async_sets_id_queue_priority_and_headers(shop: Deployment) -> None:
    """What was asked for is on the run and on its message."""
    result = add.apply_async(
        (1, 2), task_id="my-own-id", queue="express", priority=7, headers={"tenant": "acme"}
    )
    assert ("my-own-id", 3) == (result.id, result.get(timeout=20))
    view = shop.aiki.view("my-own-id")
    assert ("express", RunStatus.COMPLETED) == (view.queue, view.status)


def test_apply_async_can_ignore_the_result(shop: Deployment) -> None:
    """Nothing is stored in the backend; the journal has it."""
    result = add.apply_async((1, 2), ignore_result=True)
    eventually(lambda: _is_known(shop, result.id), 20, "the run to be journaled")
    assert 3 == add.handle(result.id).get(timeout=20)
    assert "PENDING" == shop.client.AsyncResult(result.id).state


@pytest.mark.parametrize("sleep", [0.0, 0.3], ids=["straight", "suspended"])
def test_link_is_called_once_with_the_result(shop: Deployment, key: str, sleep: float) -> None:
    """A suspension in between does not lose it."""
    told = shop.task("plain.told").s(key)
    add.apply_async((1, 2), {"sleep": sleep}, link=told)
    eventually(lambda: shop.effects.count("told", key=key), 20, "the callback")
    assert [3] == [effect["result"] for effect in shop.effects.all("told", key=key)]


def test_send_task_starts_a_run_by_name(shop: Deployment) -> None:
    """An app that knows nothing of Aiki starts the highest version by the bare name, or the one it names."""
    stranger = shop.new_client()
    latest = stranger.send_task("versioned")
    exact = stranger.send_task("versioned@1.0.0")
    assert f"1.10.0 as {latest.id}" == latest.get(timeout=20)
    assert f"1.0.0 as {exact.id}" == exact.get(timeout=20)
    assert f"1.9.0 as {(own := versioned_nine.delay()).id}" == own.get(timeout=20)
    assert ("versioned", "1.10.0") == ((run := shop.aiki.view(latest.id)).workflow, run.version)
    stranger.close()


def test_send_task_with_bad_arguments_fails_the_task(shop: Deployment) -> None:
    """The sender could not be told at once, so its result tells."""
    stranger = shop.new_client()
    result = stranger.send_task("add", ("one", 2))
    with pytest.raises(Exception, match="add"):
        result.get(timeout=20)
    stranger.close()


def test_get_that_times_out_says_what_the_run_is_doing(shop: Deployment, key: str) -> None:
    """Name, state and the sleep it is in."""
    handle = journey.enqueue(key, 30.0)
    shop.await_status(handle, RunStatus.SLEEPING)
    with pytest.raises(
        TimeoutError, match=rf"run {handle.id} of journey is sleeping \(.*sleep.*until .*\) after 0.1 s"
    ):
        handle.get(timeout=0.1)


def _is_known(shop: Deployment, run_id: str) -> bool:
    try:
        return shop.aiki.view(run_id).id == run_id
    except RunNotFound:
        return False
