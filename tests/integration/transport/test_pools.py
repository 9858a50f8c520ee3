"""Every pool works, publishes from its tasks, answers remote control and gives back what it prefetched."""

from collections.abc import Callable

import pytest

from tests.harness.eventually import eventually
from tests.harness.worker import WorkerProcess
from tests.integration.transport.conftest import Broker

APP = "tests.integration.transport.embedded_app"


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_pool_does_everything(pool: str, broker: Broker, start_worker: Callable[..., WorkerProcess]) -> None:
    """Tasks run once, tasks publish, ping and revoke arrive, a warm shutdown leaves the rest in the file."""
    worker = start_worker(APP, pool=pool, log_level="debug")
    broker.send("publish_work", list(range(20)))
    eventually(lambda: broker.tally() == dict.fromkeys(range(20), 1), 15, "20 tasks sent by a task to run")

    assert [{worker.hostname: {"ok": "pong"}}] == broker.app.control.ping([worker.hostname], timeout=5)
    revoked = broker.send("work", 99, countdown=1)
    broker.app.control.revoke(revoked.id, reply=True, destination=[worker.hostname], timeout=5)
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 10, "the revoked task to be dropped")
    assert 0 == broker.tally("began")[99]

    for number in range(100, 120):
        broker.send("work_until", number, "shutdown")
    slots = 1 if pool == "solo" else 2
    eventually(lambda: sum(n >= 100 for n in broker.tally("began")) == slots, 10, "long tasks to begin")
    closing = "Warm shutdown"
    if pool == "prefork":
        # When it closes, Celery forgets a task that it gave to a process and has not heard of since.
        inspect = broker.app.control.inspect([worker.hostname], timeout=5)
        eventually(
            lambda: len((inspect.active() or {}).get(worker.hostname, ())) == slots, 15, "the worker to hear"
        )
        closing = "| Consumer: Stopping"
    worker.terminate()
    eventually(lambda: closing in worker.log(), 10, "the shutdown to begin")
    broker.effects.record("shutdown")
    assert 0 == worker.wait(20)
    assert broker.tally("began") == broker.tally("ended"), "running tasks were finished"
    assert 0 == broker.messages("lease_owner IS NOT NULL")
    finished = sum(number >= 100 for number in broker.tally())
    assert 1 <= finished < 20, "the shutdown came in between"
    assert 20 == finished + broker.messages("queue = 'celery'"), "nothing lost, nothing left over"
