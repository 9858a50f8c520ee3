"""Existing Celery tasks as steps, on real workers: unchanged, once each, with their own retries and limits."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from aiki_celery import RunStatus
from aiki_celery.celery_binding.message import header
from aiki_celery.model.status import RunKind
from tests.acceptance.conftest import Lab
from tests.acceptance.steps.adopted_definitions import adding, calling, linked, mixed, twice
from tests.harness.eventually import eventually
from tests.harness.redis_server import RedisServer
from tests.harness.worker import WorkerProcess

APP = "tests.acceptance.steps.adopted_app"


@pytest.fixture(params=["lab", "embedded_lab"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    """PostgreSQL with Redis, and one SQLite file."""
    found: Lab = request.getfixturevalue(request.param)
    return found


def child(lab: Lab) -> str:
    """The id of the task that the workflow has started, once it is in the journal."""
    run_id = str(eventually(lambda: lab.effects.all("started"), 20)[-1]["child"])
    eventually(lambda: lab.aiki.journal.views.status(run_id), 10)
    return run_id


def held_until_late(lab: Lab) -> str:
    """The id of the task that has begun, once its expiry of two seconds has passed."""
    run_id = child(lab)
    eventually(lambda: lab.effects.count("tardy"), 20)
    eventually(lambda: lab.aiki.journal.now() - lab.aiki.view(run_id).created_at > 2_500_000, 20)
    return run_id


def answers(*workers: WorkerProcess) -> int:
    """How many messages about an end these workers have received."""
    return sum(len(re.findall(r"Task aiki\.settle\[\S+ received", worker.log())) for worker in workers)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_existing_tasks_are_steps(any_lab: Lab, pool: str) -> None:
    """On every pool, once each, with one resume, and without a message more than their own."""
    worker = any_lab.start_worker(APP, pool=pool)

    assert [1, 2, 3, 4, 5] == adding.enqueue(5).get(timeout=30)

    assert 5 == any_lab.effects.count("add")
    assert 2 == any_lab.effects.count("pass")
    assert 0 == answers(worker)


def test_the_same_call_twice_is_two_steps(any_lab: Lab) -> None:
    """Each has its own task, and the first that ends can be asked for."""
    any_lab.start_worker(APP)

    assert [1, 1, 1] == twice.enqueue().get(timeout=30)

    assert 2 == any_lab.effects.count("add")


def test_a_tasks_own_callbacks_are_called(any_lab: Lab) -> None:
    """What the signature links is not forgotten."""
    any_lab.start_worker(APP)

    assert 5 == linked.enqueue().get(timeout=30)

    eventually(lambda: any_lab.effects.all("note", value=5), 10, "the linked task")


def test_other_messages_of_a_task_are_as_ever(any_lab: Lab) -> None:
    """A message that no workflow has sent finds no journal and no claim."""
    any_lab.start_worker(APP)

    any_lab.app.send_task("adopted-add", (3, 4), link=any_lab.app.signature("adopted-note"))

    eventually(lambda: any_lab.effects.all("note", value=7), 10, "the linked task")


def test_the_message_is_the_tasks_own(lab: Lab) -> None:
    """Queue by route, serializer, time limit and priority of the task; what the signature sets comes before."""
    lab.start_worker(APP, queues=["celery"])
    calling.enqueue("adopted-routed", ["ann"], {"soft_time_limit": 5, "headers": {"tenant": "x"}})
    eventually(lambda: lab.depth("mail"), 20, "the message")

    with lab.app.connection_for_read() as connection, connection.SimpleQueue("mail") as queue:
        message = queue.get(timeout=10)
        headers, properties = message.headers, message.properties
        message.ack()

    assert "application/x-own-json" == message.content_type
    assert [77, 5] == list(headers["timelimit"])
    assert ("adopted-routed", child(lab), "x") == (headers["task"], headers["id"], headers["tenant"])
    assert 3 == properties["priority"]


def test_autoretry_is_the_tasks_own_and_nobody_elses(any_lab: Lab) -> None:
    """L35: a workflow's policy does not multiply the tries of a task that retries by itself."""
    any_lab.start_worker(APP)

    assert 3 == calling.enqueue("adopted-flaky", [3]).get(timeout=30)
    assert [1, 2, 3] == [effect["attempt"] for effect in any_lab.effects.all("flaky")]

    failed = calling.enqueue("adopted-flaky", [9]).get(timeout=30)
    assert {"failed": "ConnectionError", "message": "attempt 3", "attempts": 3} == failed
    assert 6 == any_lab.effects.count("flaky")


def test_a_retry_waits_as_long_as_it_says(any_lab: Lab) -> None:
    """``self.retry(countdown=...)`` is Celery's own message; ours comes only if that is lost."""
    any_lab.start_worker(APP)

    assert 1 == calling.enqueue("adopted-patient", [1.5]).get(timeout=30)

    first, second = any_lab.effects.all("patient")
    assert second["at"] - first["at"] >= 1.4


def test_a_lost_retry_is_sent_again(any_lab: Lab) -> None:
    """The worker that held the next try in its memory is killed, and the broker emptied."""
    worker = any_lab.start_worker(APP)
    handle = calling.enqueue("adopted-patient", [1.0])
    run_id = child(any_lab)
    eventually(lambda: any_lab.aiki.view(run_id).status is RunStatus.AWAITING_RETRY, 20)
    worker.kill_group()
    any_lab.app.control.purge()

    any_lab.start_worker(APP)

    assert 1 == handle.get(timeout=40)
    assert [1, 2] == [effect["attempt"] for effect in any_lab.effects.all("patient")]


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("key", "LookupError", "no key"),
        ("no json", "NotJournalable", "adopted-awkward: the result['at'][0] cannot be journaled"),
        ("too large", "PayloadTooLarge", "the result has 2,000,002 bytes"),
        ("reject", "Reject", "no such customer"),
    ],
)
def test_what_cannot_be_a_result_is_an_error(any_lab: Lab, how: str, kind: str, message: str) -> None:
    """The parent is told why, and is never left waiting."""
    any_lab.start_worker(APP)

    told = calling.enqueue("adopted-awkward", [how]).get(timeout=30)

    assert kind == told["failed"]
    assert message in told["message"]
    assert 1 == any_lab.effects.count("awkward")


def test_a_task_that_cannot_be_sent_fails_alone(any_lab: Lab) -> None:
    """Celery refuses to make its message; the others are sent, and nothing is tried for ever."""
    any_lab.start_worker(APP)

    one, failed, other = mixed.enqueue().get(timeout=30)

    assert ("1", "2") == (one, other)
    assert failed.startswith("adopted-unsendable failed after 1 attempt: SerializerNotInstalled")


def test_a_worker_that_lacks_the_task_leaves_it_to_one_that_has_it(lab: Lab) -> None:
    """As in a rolling deploy; Celery would throw the message away."""
    lab.start_worker(APP, queues=["flows"])
    old = lab.start_worker("tests.acceptance.steps.app", queues=["celery"])
    handle = calling.options(queue="flows").enqueue("adopted-add", [1])
    eventually(lambda: "this worker does not have it; left for one that has" in old.log(), 20)

    lab.start_worker(APP, queues=["celery"])
    old.terminate()

    assert 1 == handle.get(timeout=30)


def test_a_task_that_is_ignored_is_cancelled(any_lab: Lab) -> None:
    """It never has a result, so nobody waits for one."""
    any_lab.start_worker(APP)

    assert {"cancelled": "adopted-awkward"} == calling.enqueue("adopted-awkward", ["ignore"]).get(timeout=30)


def test_a_task_that_is_replaced_gives_what_its_successor_gives(any_lab: Lab) -> None:
    """``self.replace(...)`` sends another task under the same id."""
    any_lab.start_worker(APP)

    assert 105 == calling.enqueue("adopted-replaced", [5]).get(timeout=30)

    assert (1, 1) == (any_lab.effects.count("replaced"), any_lab.effects.count("add"))


def test_a_message_that_comes_again_runs_nothing(any_lab: Lab) -> None:
    """Neither while the task runs nor when it is over."""
    worker = any_lab.start_worker(APP, concurrency=3)
    handle = calling.enqueue("adopted-slow", [2.0])
    run_id = child(any_lab)

    def send_again() -> None:
        header = {"aiki": {"v": 1, "first": "celery"}}
        any_lab.app.send_task("adopted-slow", (2.0,), task_id=run_id, headers=header)

    eventually(lambda: any_lab.effects.count("slow began"), 20)
    send_again()
    assert "slept" == handle.get(timeout=30)
    send_again()
    eventually(lambda: 2 == worker.log().count(f"Run {run_id} of adopted-slow: nothing to do"), 10)

    assert 1 == any_lab.effects.count("slow began")


def test_a_longer_task_is_not_taken_away_from_its_worker(lab: Lab) -> None:
    """The worker has it at hand for longer than a run may be without anybody."""
    lab.start_worker(APP)

    assert "slept" == calling.enqueue("adopted-slow", [13.0]).get(timeout=40)

    assert 1 == lab.effects.count("slow began")


@pytest.mark.parametrize("task", ["adopted-deadly", "adopted-deadly-late"])
def test_a_task_whose_process_is_killed_is_run_again(any_lab: Lab, task: str, tmp_path: Path) -> None:
    """Whether Celery would have lost it (acknowledged early) or not; and nobody is told that it failed."""
    worker = any_lab.start_worker(APP)

    assert "survived" == calling.enqueue(task, [str(tmp_path / "flag")]).get(timeout=30)

    assert 2 == any_lab.effects.count("deadly")
    assert "WorkerLostError" not in worker.log()


def test_a_task_whose_worker_is_killed_is_run_again(any_lab: Lab) -> None:
    """By another worker, as soon as it is known to be gone."""
    first = any_lab.start_worker(APP)
    handle = calling.enqueue("adopted-slow", [1.0])
    eventually(lambda: any_lab.effects.count("slow began"), 20)
    first.kill_group()

    any_lab.start_worker(APP)

    assert "slept" == handle.get(timeout=40)
    assert (2, 1) == (any_lab.effects.count("slow began"), any_lab.effects.count("slow"))


def test_a_hard_time_limit_fails_the_step(lab: Lab) -> None:
    """The process is gone, so its worker's main process says so."""
    worker = lab.start_worker(APP)

    told = calling.enqueue("adopted-limited", [30.0]).get(timeout=30)

    assert ("TimeLimitExceeded", "the hard time limit of 2 s ended it") == (told["failed"], told["message"])
    assert 1 == lab.effects.count("limited")
    assert 0 == answers(worker)


@pytest.mark.parametrize("terminate", [False, True])
def test_a_revoked_task_is_cancelled(lab: Lab, terminate: bool) -> None:
    """Before it began, or by ending the process that is at it; it is not taken for a crash."""
    worker = lab.start_worker(APP, concurrency=2)
    if not terminate:
        lab.app.control.broadcast("rate_limit", arguments={"task_name": "adopted-slow", "rate_limit": "1/h"})
        lab.app.send_task("adopted-slow", (0.1,))
        eventually(lambda: lab.effects.count("slow"), 20)
    handle = calling.enqueue("adopted-slow", [60.0])
    run_id = child(lab)
    eventually(lambda: f"Task adopted-slow[{run_id}] received" in worker.log(), 20)
    if terminate:
        eventually(lambda: lab.effects.count("slow began"), 20)
        lab.app.control.revoke(run_id, terminate=True)
    else:
        lab.app.control.revoke(run_id)
        lab.app.control.broadcast("rate_limit", arguments={"task_name": "adopted-slow", "rate_limit": 0})

    assert {"cancelled": "adopted-slow"} == handle.get(timeout=30)

    eventually(lambda: worker.children(), 10)
    assert RunStatus.CANCELLED is lab.aiki.view(run_id).status
    assert (1 if terminate else 0) == lab.effects.count("slow began") - (0 if terminate else 1)


def test_a_task_that_has_expired_is_cancelled(any_lab: Lab) -> None:
    """The instant is kept, so that it has expired whenever its message is sent."""
    any_lab.start_worker(APP, queues=["celery"])
    handle = calling.enqueue("adopted-add", [1], {"expires": 0.5, "queue": "later"})
    run_id = child(any_lab)
    eventually(lambda: any_lab.aiki.journal.now() - any_lab.aiki.view(run_id).created_at > 600_000, 10)

    any_lab.start_worker(APP, queues=["later"])

    assert {"cancelled": "adopted-add"} == handle.get(timeout=30)
    assert 0 == any_lab.effects.count("add")


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("lab", marks=[pytest.mark.redis, pytest.mark.postgres]),
        pytest.param("other_lab", marks=[pytest.mark.rabbitmq, pytest.mark.mariadb]),
        "embedded_lab",
    ],
)
def test_a_task_that_began_in_time_is_recovered(where: str, request: pytest.FixtureRequest) -> None:
    """Its process dies after the expiry; RabbitMQ itself would drop a message that has expired."""
    lab: Lab = request.getfixturevalue(where)
    lab.start_worker(APP)
    handle = calling.enqueue("adopted-tardy", [True], {"expires": 2.0})
    held_until_late(lab)

    lab.effects.record("go on")

    assert "done" == handle.get(timeout=30)
    assert 2 == lab.effects.count("tardy")


def test_a_late_message_leaves_a_live_task_alone(any_lab: Lab) -> None:
    """It came in time before, and is at work."""
    worker = any_lab.start_worker(APP)
    handle = calling.enqueue("adopted-tardy", [False], {"expires": 2.0})
    run_id = held_until_late(any_lab)

    late = datetime.now(timezone.utc) - timedelta(seconds=1)
    any_lab.app.send_task(
        "adopted-tardy", (False,), task_id=run_id, expires=late, headers=header(RunKind.ADOPTED.value)
    )

    let_go = f"Run {run_id} of adopted-tardy: nothing to do; it is held"
    eventually(lambda: let_go in worker.log(), 20, "the message to be let go")
    any_lab.effects.record("go on")
    assert "done" == handle.get(timeout=30)
    assert 1 == any_lab.effects.count("tardy")


def test_a_countdown_is_waited_for_in_the_journal(any_lab: Lab) -> None:
    """No worker keeps the message in its memory."""
    any_lab.start_worker(APP)
    handle = calling.enqueue("adopted-add", [1], {"countdown": 2.0})

    assert RunStatus.SCHEDULED is any_lab.aiki.view(child(any_lab)).status

    assert 1 == handle.get(timeout=30)
    [started], [added] = any_lab.effects.all("started")[:1], any_lab.effects.all("add")
    assert added["at"] - started["at"] >= 1.9


def test_lost_messages_are_sent_again(any_lab: Lab) -> None:
    """The broker is emptied while they wait for a worker."""
    any_lab.start_worker(APP, queues=["celery"])
    handle = calling.enqueue("adopted-add", [1], {"queue": "later"})
    child(any_lab)
    eventually(lambda: any_lab.depth("later"), 20)
    with any_lab.app.connection_for_write() as connection:
        connection.default_channel.queue_purge("later")

    any_lab.start_worker(APP, queues=["later"])

    assert 1 == handle.get(timeout=30)
    assert 1 == any_lab.effects.count("add")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_tasks_are_steps_after_the_broker_was_away(lab: Lab, redis_server: RedisServer, pool: str) -> None:
    """Celery makes its handlers anew at each connection, and ours with them."""
    worker = lab.start_worker(APP, pool=pool)
    assert [1] == adding.enqueue(1).get(timeout=30)

    redis_server.restart()
    eventually(lambda: worker.log().count("Connected to redis") > 1, 30, "the worker to come back")

    assert [1, 2] == adding.enqueue(2).get(timeout=30)
    if pool == "prefork":
        assert "TimeLimitExceeded" == calling.enqueue("adopted-limited", [30.0]).get(timeout=30)["failed"]
    assert 0 == answers(worker)
