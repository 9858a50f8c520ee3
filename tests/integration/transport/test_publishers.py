"""Several publishers and workers share the file; what was acknowledged to a publisher is there."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness.child_process import ChildProcess
from tests.harness.eventually import eventually
from tests.harness.worker import WorkerProcess
from tests.integration.transport.conftest import Broker

APP = "tests.integration.transport.embedded_app"
PUBLISH = """
import sys
from tests.integration.transport.embedded_app import work
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    work.delay(number)
    print("sent", number, flush=True)
"""
REPOSITORY = Path(__file__).resolve().parents[3]


def publisher(name: str, first: int, end: int, folder: Path) -> ChildProcess:
    """A process that publishes numbers and prints each one when `delay` has returned."""
    command = [sys.executable, "-c", PUBLISH, str(first), str(end)]
    process = ChildProcess(name, command, log_path=folder / f"{name}.log", cwd=REPOSITORY)
    process.start()
    return process


def sent(process: ChildProcess) -> set[int]:
    """What was acknowledged to the publisher."""
    return {int(line.split()[1]) for line in process.log().splitlines() if line.startswith("sent ")}


def test_two_publishers_and_two_workers_share_the_file(
    broker: Broker, start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    """Six hundred messages of two publishers run once each, on both workers."""
    publishers = [publisher("one", 0, 300, tmp_path), publisher("two", 300, 600, tmp_path)]
    workers = [start_worker(APP) for _ in range(2)]
    assert [0, 0] == [process.wait(30) for process in publishers]
    eventually(lambda: len(broker.tally()) == 600, 30, "600 tasks to run")
    assert dict.fromkeys(range(600), 1) == broker.tally()
    eventually(lambda: broker.messages("queue = 'celery'") == 0, 5, "an empty queue")
    assert all(worker.is_running for worker in workers)


def test_killed_publisher_loses_nothing_acknowledged(broker: Broker, tmp_path: Path) -> None:
    """SIGKILL of a publisher in the middle of its stream: every number it was told is sent is in the file."""
    process = publisher("victim", 0, 1_000_000, tmp_path)
    try:
        eventually(lambda: len(sent(process)) > 200, 20, "a stream of messages", interval=0.01)
    finally:
        process.kill_tree()
    acknowledged = len(sent(process))
    # The last one may have been stored when the process died before it could say so.
    assert broker.messages() in {acknowledged, acknowledged + 1}


def test_file_does_not_grow_at_rest(broker: Broker, start_worker: Callable[..., WorkerProcess]) -> None:
    """Two idle workers with gossip leave every table as it is; the write-ahead log stays bounded."""
    for _ in range(2):
        start_worker(APP, mingle=True)
    eventually(
        lambda: broker.messages("queue NOT LIKE '%celeryev%'") == 0, 10, "start-up messages to be read"
    )
    sizes = []
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        broker.app.control.ping(timeout=0.5)
        sizes.append(broker.path.stat().st_size)
    assert sizes[0] == sizes[-1]
    eventually(lambda: broker.messages() == 0, 5, "no message at rest")
    assert broker.path.with_name(broker.path.name + "-wal").stat().st_size < 5_000_000
