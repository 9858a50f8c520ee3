"""B7: RabbitMQ's consumer_timeout is shorter than the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.eventually import eventually
from tests.harness.postgres import PostgresServer
from tests.harness.rabbitmq import RabbitMQServer
from tests.integration.celery.deployment import QUICK, deployed, new_key
from tests.integration.celery.flows import naps


@pytest.fixture
def strict_rabbitmq() -> Iterator[RabbitMQServer]:
    """A RabbitMQ that closes the channel of who has not acknowledged for two seconds."""
    server = RabbitMQServer("consumer_timeout = 2000")
    # How often it looks, a minute else.
    (server.folder / "advanced.config").write_text("[{rabbit, [{channel_tick_interval, 500}]}].\n")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_run_longer_than_the_consumer_timeout_is_done_once(
    strict_rabbitmq: RabbitMQServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """A plain acks_late task loses its channel and runs again; a workflow's step of the same length runs once."""
    conf = {"task_acks_late": True}
    with deployed(tmp_path, postgres.new_database(), strict_rabbitmq.url, conf=conf, **QUICK) as deployment:
        worker = deployment.worker(concurrency=4)
        enqueued, sent, plain = new_key("enqueued"), new_key("sent"), new_key("plain")
        assert 0 == naps.enqueue(enqueued, 1, 5.0).get(timeout=30)
        assert "PRECONDITION_FAILED" not in worker.log(), "acknowledged early: nothing to time out"
        handle = naps.handle(naps.delay(sent, 1, 5.0).id)
        deployment.task("plain.nap").delay(plain, 5.0)
        # It ends Celery's worker, which finishes what it is at; a supervisor starts the next one.
        # It may hang at its very end, its pool gone: py-amqp waits for RabbitMQ to confirm that a channel is closed
        # which RabbitMQ has closed itself. Supervisors do not wait for ever.
        try:
            worker.wait(15)
        except AssertionError:
            worker.kill()
        assert "PRECONDITION_FAILED" in worker.log(), "the fault"
        deployment.worker(concurrency=4)
        eventually(
            lambda: deployment.effects.count("plain nap", key=plain) >= 2, 30, "the plain task's second run"
        )
        assert 0 == handle.get(timeout=40)
        assert [["nap 0"], ["nap 0"]] == [deployment.steps(key) for key in (enqueued, sent)]
