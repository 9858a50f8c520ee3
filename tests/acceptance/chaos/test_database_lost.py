"""D1, D2: PostgreSQL is killed and comes back; its connections are ended while runs are at work."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.acceptance.chaos.grounds import on_redis
from tests.acceptance.chaos.rescue import measured, travellers
from tests.harness.eventually import eventually
from tests.harness.postgres import PostgresServer
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import naps

#: Longer than ``worker_ttl``.
AWAY = 3.0


@on_redis
def test_killed_database_delays_runs_and_loses_none(
    ground: str, deploy: Callable[..., Deployment], postgres: PostgresServer
) -> None:
    """Steps that end meanwhile are recorded when it is back; each took effect once."""
    deployment = deploy(ground)
    worker = deployment.worker(concurrency=3)
    runs = travellers(deployment)
    between = new_key("between")
    steady = naps.enqueue(between, 10, 0.2)
    deployment.await_step(between, "nap 1")
    postgres.kill()
    gone = time.time()
    for run in runs:
        deployment.open_gate(run.key)
        eventually(lambda key=run.key: deployment.effects.count("held", key=key), 10, "the step's end")
    time.sleep(AWAY)
    postgres.start()
    back = time.time()
    assert back - gone >= AWAY

    assert [["first", "last"]] * 2 == [run.handle.get(timeout=40) for run in runs]
    assert 45 == steady.get(timeout=40)
    for run in runs:
        assert ["first", "hold", "last"] == deployment.steps(run.key)
        # The worker's own row had become as old as a dead one's.
        assert not [line for line in run.handle.history() if line.reason.startswith("recovered")]
        measured[f"{ground}: database back, next step"].append(
            deployment.effects.all("step", key=run.key, step="last")[0]["at"] - back
        )
    assert [f"nap {number}" for number in range(10)] == deployment.steps(between)
    assert worker.is_running
    assert 1 == naps.enqueue(new_key(), 2, 0.0).get(timeout=20)


@on_redis
def test_connections_ended_at_random_cost_nothing(
    ground: str, deploy: Callable[..., Deployment], postgres: PostgresServer
) -> None:
    """Ended every 0.2 s while runs write: every write is tried again, and none is made twice."""
    deployment = deploy(ground)
    deployment.worker()
    keys = [new_key(str(number)) for number in range(4)]
    handles = naps.enqueue_many([(key, 15, 0.05) for key in keys])
    ended = 0
    database = deployment.journal.rpartition("/")[2].partition("?")[0]
    while not all(len(deployment.steps(key)) == 15 for key in keys) and ended < 200:
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        )
        ended += 1
        time.sleep(0.2)
    assert ended >= 5, "the fault was injected while the runs were at work"
    assert [sum(range(15))] * 4 == [handle.get(timeout=30) for handle in handles]
    assert [[f"nap {number}" for number in range(15)]] * 4 == [deployment.steps(key) for key in keys]
