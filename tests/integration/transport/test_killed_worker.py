"""Workers that die, hang or replace their pool processes lose no message."""

import time
from collections.abc import Callable

import pytest

from tests.harness.eventually import eventually
from tests.harness.worker import WorkerProcess
from tests.integration.transport.conftest import Broker

APP = "tests.integration.transport.embedded_app"
StartWorker = Callable[..., WorkerProcess]


def test_killed_worker_loses_nothing(broker: Broker, start_worker: StartWorker) -> None:
    """SIGKILL of a worker and its pool in the middle of tasks: another worker has them within two seconds."""
    victim = start_worker(APP)
    for number in range(6):
        broker.send("work_until", number, "victim is dead")
    eventually(lambda: len(broker.tally("began")) == 2, 10, "two tasks to run")
    heir = start_worker(APP)
    held = broker.messages("lease_owner IS NOT NULL")
    assert held > 2, "the victim has prefetched"
    victim.kill_group()
    killed_at = time.time()
    assert {} == broker.tally("ended"), "work was interrupted"
    broker.effects.record("victim is dead")
    eventually(lambda: len(broker.tally("ended")) == 6, 20, "all six tasks to end")
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 5, "the last acknowledgement")
    first = min(e["at"] for e in broker.effects.all("began") if e["at"] > killed_at)
    assert first - killed_at < 2
    assert heir.is_running


def test_hung_worker_loses_its_messages_when_the_lease_ends(
    broker: Broker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped worker keeps its message for the lease only; when it wakes, it disturbs nobody."""
    monkeypatch.setenv("TEST_LEASE", "2")
    zombie = start_worker(APP)
    broker.send("work", 1, 0.5)
    eventually(lambda: broker.tally("began")[1] == 1, 10, "the task to begin")
    zombie.stop()
    stopped_at = time.time()
    heir = start_worker(APP)
    eventually(lambda: broker.tally("ended")[1] == 1, 15, "the other worker to run it")
    begun_again = max(effect["at"] for effect in broker.effects.all("began"))
    assert begun_again - stopped_at > 1, "the lease was respected"
    zombie.cont()
    eventually(lambda: broker.tally("ended")[1] == 2, 10, "the zombie to finish")
    broker.send("work", 2)
    eventually(lambda: broker.tally()[2] == 1, 10, "work to go on")
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 5, "an empty queue")
    pings = broker.app.control.ping([zombie.hostname, heir.hostname], timeout=5)
    assert {zombie.hostname, heir.hostname} == {name for ping in pings for name in ping}


@pytest.mark.parametrize("pool", ["solo", "gevent"])
def test_task_longer_than_the_lease_runs_once(
    pool: str, broker: Broker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that computes for longer than the lease, in the worker's only thread, is not delivered again."""
    monkeypatch.setenv("TEST_LEASE", "1")
    start_worker(APP, pool=pool)
    broker.send("compute_without_yielding", "other worker is there", 3)
    eventually(lambda: broker.tally("began")[-1] == 1, 10, "the long task to begin")
    start_worker(APP, pool="solo")
    broker.effects.record("other worker is there")
    eventually(lambda: broker.tally()[-1] == 1, 15, "the long task to end")
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 5, "its acknowledgement")
    assert 1 == broker.tally("began")[-1]


def test_replaced_pool_processes_give_nothing_back(broker: Broker, start_worker: StartWorker) -> None:
    """Children forked while messages are held neither disturb the connection nor release those messages."""
    start_worker(APP, args=["--max-tasks-per-child", "1"])
    start_worker(APP, args=["--max-tasks-per-child", "1"])
    for number in range(10):
        broker.send("work", number)
    eventually(lambda: len(broker.tally()) == 10, 30, "ten tasks, each in a process of its own")
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 5, "an empty queue")
    assert dict.fromkeys(range(10), 1) == broker.tally()
    assert 10 == len({effect["pid"] for effect in broker.effects.all("ended")})


def test_killed_pool_process_gives_its_message_back(broker: Broker, start_worker: StartWorker) -> None:
    """SIGKILL of one pool process: its task runs again on the same worker."""
    worker = start_worker(APP)
    broker.send("work", 1, 2)
    (began,) = eventually(lambda: broker.effects.all("began"), 10, "the task to begin")
    worker.kill_child(began["pid"])
    eventually(lambda: broker.tally("ended")[1] == 1, 15, "the task to run again")
    assert 2 == broker.tally("began")[1]
