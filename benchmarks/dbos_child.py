"""DBOS on the same work. Runs with DBOS's own Python and prints one JSON object per line.

    dbos_child.py inline|replay|drain|fan-out|execute DATABASE_URL COUNT ROUNDS

- ``inline``: steps/s of a workflow of COUNT steps, called in this process.
- ``replay``: milliseconds the body of a workflow of COUNT recorded steps takes, forked after its last step.
- ``drain``: workflows/s of COUNT one-step workflows, enqueued one by one as in DBOS, run by its queue.
- ``fan-out``: milliseconds of a workflow that starts COUNT children and gathers their results.
- ``execute``: a second process that only runs them, until its standard input closes.
"""

import json
import sys
import time
from collections.abc import Iterator

from dbos import DBOS, DBOSConfig, WorkflowHandle

mode, url, count, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
# Shorter than the default second: the queue is measured at its best, not its idle wait.
POLLING_INTERVAL_SEC = 0.05

# DBOS takes the URL of the plain driver name.
url = url.replace("postgresql+psycopg://", "postgresql://")

config: DBOSConfig = {
    "name": "bench",
    "system_database_url": url,
    "log_level": "ERROR",
    "application_version": "bench",
    "executor_id": mode,
}
dbos = DBOS(config=config)
bodies: list[float] = []


@DBOS.step()
def increment(value: int) -> int:
    return value + 1


@DBOS.workflow()
def many_steps(steps: int) -> int:
    started = time.perf_counter()
    value = 0
    for _ in range(steps):
        value = increment(value)
    bodies.append(time.perf_counter() - started)
    return value


@DBOS.workflow()
def one_step(value: int) -> int:
    return increment(value)


def inline() -> Iterator[float]:
    many_steps(20)
    for _ in range(rounds):
        started = time.perf_counter()
        assert many_steps(count) == count
        yield count / (time.perf_counter() - started)


def replay() -> Iterator[float]:
    handle = DBOS.start_workflow(many_steps, count)
    assert handle.get_result() == count
    bodies.clear()
    for _ in range(rounds):
        assert DBOS.fork_workflow(handle.workflow_id, count + 1).get_result() == count
    for body in bodies:
        yield body * 1000


def drain() -> Iterator[float]:
    wait_until_drained([DBOS.enqueue_workflow("bench", one_step, 0)])
    for _ in range(rounds):
        started = time.perf_counter()
        handles = [DBOS.enqueue_workflow("bench", one_step, number) for number in range(count)]
        wait_until_drained(handles)
        yield count / (time.perf_counter() - started)


@DBOS.workflow()
def fan_out_workflow(children: int) -> int:
    handles = [DBOS.start_workflow(one_step, number) for number in range(children)]
    return sum(handle.get_result() for handle in handles)


def fan_out() -> Iterator[float]:
    fan_out_workflow(10)
    for _ in range(rounds):
        started = time.perf_counter()
        assert fan_out_workflow(count) == count * (count + 1) // 2
        yield (time.perf_counter() - started) * 1000


def wait_until_drained(handles: list[WorkflowHandle[int]]) -> None:
    """Poll with one statement for all: a get_result() for each would slow the queue down."""
    while DBOS.list_workflows(queue_name="bench", status=["ENQUEUED", "PENDING"], limit=1):
        time.sleep(0.02)
    assert handles[-1].get_result() == len(handles)


DBOS.launch()
DBOS.register_queue("bench", polling_interval_sec=POLLING_INTERVAL_SEC)
if mode == "execute":
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
else:
    for value in {"inline": inline, "replay": replay, "drain": drain, "fan-out": fan_out}[mode]():
        print(json.dumps({"value": value}), flush=True)
DBOS.destroy()
