"""L24: in a rolling deploy, an old worker discards a new task; a run waits for a worker that has its version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import NotRegistered

from aiki_celery import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.lessons import deployed_new, deployed_old
from tests.harness.eventually import eventually

#: What a sender says of a message beside its headers.
PROPERTIES = ("correlation_id", "reply_to", "priority", "delivery_mode", "expiration")

OLD, NEW = "tests.acceptance.lessons.deployed_old", "tests.acceptance.lessons.deployed_new"


def test_run_waits_for_a_worker_that_has_its_version(lab: Lab, at_rest: Callable[..., object]) -> None:
    """With an old worker alone the new runs wait while a plain task is lost; with a new one they are done."""
    old = lab.start_worker(OLD, concurrency=1)
    for _ in range(3):
        lab.app.send_task("plain-new")
    new_runs = [deployed_new.deployed.enqueue(number) for number in range(3)]
    sent = deployed_new.deployed.apply_async((3,), task_id="lesson-sent-by-message")
    assert "old" == deployed_old.deployed.enqueue(9).get(timeout=15)
    eventually(lambda: old.log().count("Received unregistered task") >= 3, 10, "the plain ones to be refused")
    eventually(lambda: old.log().count("this worker does not have it") >= 4, 10, "ours to be handed on")
    assert {RunStatus.QUEUED} == {handle.status for handle in new_runs}

    lab.start_worker(NEW, concurrency=1)
    assert ["new"] * 3 == [handle.get(timeout=20) for handle in new_runs]
    by_message = deployed_new.deployed.handle(sent.id)
    eventually(lambda: lab.effects.count("work", number=3) == 1, 20, "the run in the message")
    assert "new" == by_message.get(timeout=10)
    assert 0 == lab.effects.count("plain new"), "the fault: what Celery discards is gone"
    assert 5 == lab.effects.count("work")
    at_rest(lab)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("lab", marks=[pytest.mark.redis, pytest.mark.postgres]),
        pytest.param("other_lab", marks=[pytest.mark.rabbitmq, pytest.mark.mariadb]),
        "embedded_lab",
    ],
)
def test_message_is_handed_on_as_it_is(where: str, request: pytest.FixtureRequest) -> None:
    """Its arguments, limits, expiry, headers and properties are the caller's, however often it is handed on."""
    lab: Lab = request.getfixturevalue(where)
    deployed_new.deployed.apply_async(
        (3,),
        expires=600,
        countdown=300,
        time_limit=50,
        soft_time_limit=40,
        priority=7,
        headers={"tenant": "acme"},
        shadow="known as",
        reply_to="nobody",
        correlation_id="of the caller",
        ignore_result=True,
        compression="gzip",
        link=lab.app.signature("plain-new"),
    )
    sent = message_in_queue(lab)
    old = lab.start_worker(OLD, concurrency=1)
    eventually(lambda: "its message was sent on" in old.log(), 20, "the message to be handed on")
    old.terminate()
    old.wait()

    assert ["acme", [50, 40], "known as", True, "application/x-gzip"] == [
        sent[0][name] for name in ("tenant", "timelimit", "shadow", "ignore_result", "compression")
    ], "the message has what is to be kept"
    assert sent == message_in_queue(lab)


def message_in_queue(lab: Lab) -> tuple[Any, ...]:
    """Headers, properties and body of the one message there is; it stays."""
    with lab.app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        message = queue.get(timeout=10)
        properties = {name: message.properties.get(name) for name in PROPERTIES}
        # Redis' transport notes here that it has given a message back.
        headers = {name: said for name, said in message.headers.items() if name != "redelivered"}
        found = (headers, properties, message.payload)
        message.requeue()
    return found


def test_caller_is_not_told_of_a_failure(
    make_lab: Callable[..., Lab], postgres_url: str, redis_url: str
) -> None:
    """Celery would store one for a task that its worker does not know, and `get()` would raise it."""
    lab = make_lab(postgres_url, redis_url, backend=redis_url)
    old = lab.start_worker(OLD, concurrency=1)
    plain = lab.app.send_task("plain-new")
    result = deployed_new.deployed.apply_async((3,))
    with pytest.raises(NotRegistered):
        plain.get(timeout=20)
    eventually(lambda: "its message was sent on" in old.log(), 20, "the message to be handed on")
    assert "PENDING" == result.state

    lab.start_worker(NEW, concurrency=1)

    assert "new" == result.get(timeout=20)


def test_both_workers_serve_what_they_have(lab: Lab, at_rest: Callable[..., object]) -> None:
    """Side by side on one queue, twelve runs of either version end within seconds."""
    lab.start_worker(OLD, concurrency=1)
    lab.start_worker(NEW, concurrency=1)
    handles = [version.deployed.enqueue(n) for n in range(12) for version in (deployed_old, deployed_new)]
    assert ["old", "new"] * 12 == [handle.get(timeout=20) for handle in handles]
    assert 24 == lab.effects.count("work")
    at_rest(lab)
