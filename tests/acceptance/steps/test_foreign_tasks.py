"""Celery tasks of workers without aiki_celery: their ends come as messages of Celery's ``link``, ``link_error``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiki_celery import RunStatus
from tests.acceptance.conftest import Lab
from tests.acceptance.steps.adopted_definitions import adding, calling
from tests.acceptance.steps.test_adopted_tasks import APP, answers, child
from tests.harness.eventually import eventually

#: Another service, without this package.
PLAIN = "tests.acceptance.steps.foreign_app"

#: All that such a worker can tell of an error.
UNKNOWN = "it failed in a worker without aiki_celery, which does not tell the error; see that worker's log"


@pytest.fixture(params=["redis_url", "rabbitmq_url"])
def server_lab(request: pytest.FixtureRequest, make_lab: Callable[..., Lab], postgres_url: str) -> Lab:
    """PostgreSQL, with each broker that another service may share with us."""
    return make_lab(postgres_url, request.getfixturevalue(request.param))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_of_another_service_is_a_step(server_lab: Lab, pool: str) -> None:
    """It is sent by its name, and its result comes back by a message."""
    ours = server_lab.start_worker(APP)
    plain = server_lab.start_worker(PLAIN, queues=["foreign"], pool=pool)

    handle = calling.enqueue("foreign-charge", ["A-1", 7])

    assert {"order": "A-1", "charged": 7} == handle.get(timeout=30)
    assert 1 == server_lab.effects.count("charge")
    assert 1 == answers(ours)
    assert "aiki" not in plain.log().partition("ready.")[0]


@pytest.mark.parametrize("task", ["foreign-decline", "foreign-no-json"])
def test_its_failure_comes_back_without_its_error(server_lab: Lab, task: str) -> None:
    """That a result has no JSON form is found by the worker that cannot send it."""
    server_lab.start_worker(APP)
    server_lab.start_worker(PLAIN, queues=["foreign"])

    told = calling.enqueue(task, []).get(timeout=30)

    assert {"failed": "Failure", "message": UNKNOWN, "attempts": 1} == told


def test_its_own_retries_hold(server_lab: Lab) -> None:
    """Its worker sends them with the callbacks, so that the last one answers."""
    server_lab.start_worker(APP)
    server_lab.start_worker(PLAIN, queues=["foreign"])

    assert 3 == calling.enqueue("foreign-flaky", [3]).get(timeout=30)
    assert [1, 2, 3] == [effect["attempt"] for effect in server_lab.effects.all("foreign flaky")]

    assert "Failure" == calling.enqueue("foreign-flaky", [9]).get(timeout=30)["failed"]
    assert 6 == server_lab.effects.count("foreign flaky")


def test_it_is_not_sent_again_while_nobody_answers(lab: Lab) -> None:
    """Nobody can tell a slow service from a lost message, and a second message would be a second charge."""
    lab.start_worker(APP)
    handle = calling.enqueue("foreign-charge", ["A-1", 7])
    run_id = child(lab)
    eventually(lambda: lab.depth("foreign"), 20)
    queued = lab.aiki.view(run_id)
    eventually(lambda: lab.aiki.journal.now() - queued.created_at > 5_000_000, 10)

    assert (RunStatus.QUEUED, 1) == (lab.aiki.view(run_id).status, lab.depth("foreign"))

    lab.start_worker(PLAIN, queues=["foreign"])
    assert {"order": "A-1", "charged": 7} == handle.get(timeout=30)


def test_a_task_that_both_have_completes_on_a_worker_without_us(server_lab: Lab) -> None:
    """As while a service is being moved: the tasks' workers are old ones, and only the workflows' have us."""
    ours = server_lab.start_worker(APP, queues=["flows"])
    server_lab.start_worker(PLAIN, queues=["celery"])

    assert [1, 2, 3, 4] == adding.options(queue="flows").enqueue(4).get(timeout=30)

    assert 4 == answers(ours)
    assert 4 == server_lab.effects.count("add")


def test_a_task_that_nobody_here_has_fails_at_once(lab: Lab) -> None:
    """It was routed to our own workers by mistake."""
    lab.start_worker(APP)

    told = calling.enqueue("nobody-has-this", [], {"queue": "celery"}).get(timeout=30)

    assert "NotRegistered" == told["failed"]
    assert "route it to a queue of the service that has it" in told["message"]


def test_an_answer_that_nobody_waits_for_changes_nothing(lab: Lab) -> None:
    """Forged, late or repeated: unknown runs, finished runs, runs of another kind, a wrong secret."""
    ours = lab.start_worker(APP)
    handle = calling.enqueue("adopted-add", [1], {"queue": "later"})
    run_id = child(lab)

    for run, secret in ((run_id, "guessed"), (handle.id, ""), ("unknown", ""), (None, None), ({"a": 1}, [])):
        lab.app.send_task("aiki.settle", (99,), {"run": run, "secret": secret, "failed": False})
    lab.app.send_task("aiki.settle", ())
    eventually(lambda: 6 == ours.log().count("succeeded in"), 20, "all of them to be dropped")
    assert "is none of ours" in ours.log()

    lab.start_worker(APP, queues=["later"])
    assert 1 == handle.get(timeout=30)
