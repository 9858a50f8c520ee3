"""The harness itself: servers and workers can be killed, and servers come back with their data."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

import psycopg
import pymysql
import pytest
import redis
from celery import Celery
from celery.result import AsyncResult
from kombu import Connection

from tests.harness.binaries import require_binary
from tests.harness.effects import Effects
from tests.harness.eventually import eventually
from tests.harness.mariadb import MariaDBServer
from tests.harness.postgres import PostgresServer
from tests.harness.rabbitmq import RabbitMQServer
from tests.harness.redis_server import RedisServer
from tests.harness.worker import WorkerProcess

StartWorker = Callable[..., WorkerProcess]
APP = "tests.integration.plain_app"


def test_postgres_keeps_its_data_when_killed(postgres: PostgresServer, postgres_url: str) -> None:
    """A committed row outlives SIGKILL of every server process."""
    dsn = postgres_url.replace("+psycopg", "")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x")
    before = postgres.pid
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    postgres.start()
    assert before != postgres.pid
    with psycopg.connect(dsn) as connection:
        assert [(7,)] == connection.execute("SELECT x FROM t").fetchall()
        assert ("on", "on") == connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        ).fetchone()


def test_mariadb_keeps_its_data_when_killed(mariadb: MariaDBServer, mariadb_url: str) -> None:
    """A committed row outlives SIGKILL."""
    database = mariadb_url.rpartition("/")[2].partition("?")[0]
    mariadb.execute(f"CREATE TABLE {database}.t AS SELECT 7 AS x")
    mariadb.kill()
    with pytest.raises(pymysql.OperationalError):
        mariadb.execute("SELECT 1")
    mariadb.start()
    assert ((7,),) == mariadb.execute(f"SELECT x FROM {database}.t")
    assert ((1,),) == mariadb.execute("SELECT @@innodb_flush_log_at_trx_commit")


def test_redis_keeps_its_data_when_killed(redis_server: RedisServer, redis_url: str) -> None:
    """A key that was answered for outlives SIGKILL."""
    client = redis.Redis.from_url(redis_url)
    client.set("x", 7)
    redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    redis_server.start()
    assert b"7" == client.get("x")


def test_rabbitmq_keeps_its_messages_when_killed(rabbitmq: RabbitMQServer, rabbitmq_url: str) -> None:
    """A message whose receipt was confirmed outlives SIGKILL."""
    with Connection(rabbitmq_url, transport_options={"confirm_publish": True}) as connection:
        connection.SimpleQueue("q").put({"x": 7})
    rabbitmq.kill()
    with pytest.raises(OSError):  # noqa: PT011 - any refusal will do
        rabbitmq.api("GET", "/api/overview")
    rabbitmq.start()
    with Connection(rabbitmq_url) as connection:
        assert {"x": 7} == connection.SimpleQueue("q").get(timeout=10).payload


def test_new_databases_are_apart(postgres: PostgresServer, redis_server: RedisServer) -> None:
    """Two tests never share a database."""
    assert postgres.new_database() != postgres.new_database()
    assert redis_server.new_database() != redis_server.new_database()


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """A producer on an empty Redis, where workers of the plain app listen too."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("CELERY_RESULT_BACKEND", redis_url)
    return Celery("producer", set_as_current=False)


def send(app: Celery, name: str, *args: object) -> AsyncResult:
    """Sends one of the plain app's tasks."""
    return app.send_task(f"{APP}.{name}", args)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_worker_runs_a_task(app: Celery, start_worker: StartWorker, pool: str) -> None:
    """A worker of every pool starts, runs a plain task and shuts down warm."""
    worker = start_worker(APP, pool=pool, concurrency=1)
    assert 5 == send(app, "add", 2, 3).get(timeout=10)
    worker.terminate()
    assert 0 == worker.wait()
    assert "Warm shutdown" in worker.log()


def test_worker_dies_on_kill_with_its_children(
    app: Celery, start_worker: StartWorker, effects: Effects
) -> None:
    """SIGKILL of the main process in the middle of a task: the task never ends, no process is left."""
    worker = start_worker(APP, concurrency=1)
    children = worker.children()
    send(app, "effect", "nap", 60)
    eventually(lambda: effects.count("nap"), 10, "the task to begin")
    worker.kill()
    assert not worker.is_running
    eventually(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 5)
    assert 0 == effects.count("nap", phase="ended")


def test_worker_replaces_a_killed_child(app: Celery, start_worker: StartWorker, effects: Effects) -> None:
    """SIGKILL of a pool process: the main process lives on and has a new one."""
    worker = start_worker(APP, concurrency=1)
    send(app, "effect", "nap", 1.0)
    eventually(lambda: effects.count("nap"), 10, "the task to begin")
    killed = worker.kill_child()
    eventually(lambda: effects.count("nap", phase="ended"), 20, "the task to be run again")
    assert worker.is_running
    assert killed not in [child.pid for child in worker.children()]
    assert 2 == effects.count("nap", phase="began")


def test_worker_quits_cold(app: Celery, start_worker: StartWorker, effects: Effects) -> None:
    """SIGQUIT in the middle of a task ends the worker without waiting for it."""
    worker = start_worker(APP, concurrency=1)
    send(app, "effect", "nap", 60)
    eventually(lambda: effects.count("nap"), 10, "the task to begin")
    worker.quit()
    worker.wait()
    assert "Cold shutdown" in worker.log()


def test_worker_stopped_does_nothing_until_continued(app: Celery, start_worker: StartWorker) -> None:
    """A stopped worker answers nobody; continued, it does what it was sent meanwhile."""
    worker = start_worker(APP, concurrency=1)
    worker.stop()
    result = send(app, "add", 2, 3)
    with pytest.raises(AssertionError, match=r"waited 0\.5 s for an answer"):
        eventually(result.ready, 0.5, "an answer")
    worker.cont()
    assert 5 == result.get(timeout=10)


def test_worker_that_cannot_start_says_why() -> None:
    """A worker that ends while starting fails the test with its log, not with a timeout."""
    with pytest.raises(AssertionError, match="no_such_module"), WorkerProcess("no_such_module"):
        pass


def test_eventually_says_what_it_waited_for() -> None:
    """The message names the condition and the last value seen."""
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for rain; last seen: 0"):
        eventually(lambda: 0, 0.05, "rain")


def test_effects_of_many_processes_do_not_mix(effects: Effects) -> None:
    """Lines written at the same time by several processes are all there, each whole."""
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            for i in range(200):
                effects.record("step", number=number, i=i, text="x" * 200)
            os._exit(0)
        children.append(child)
    assert [0] * 4 == [os.waitpid(child, 0)[1] for child in children]
    assert 800 == effects.count("step")
    assert list(range(200)) == [effect["i"] for effect in effects.all("step", number=2)]


def test_a_killed_servers_port_is_not_taken_by_its_clients(redis_server: RedisServer) -> None:
    """A client that keeps trying to connect while the server is down never gets connected to itself."""
    redis_server.kill()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        with socket.socket() as client:
            assert 0 != client.connect_ex(("127.0.0.1", redis_server.port))
    redis_server.start()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_missing_server_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    """Either way one line says which package to install."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-server is not installed \\(package some-server\\)"):
        require_binary("no-such-server", package="some-server")
