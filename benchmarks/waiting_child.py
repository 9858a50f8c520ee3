"""What many waiting runs cost, in a process of its own; prints one JSON object per round.

    python -m benchmarks.waiting_child sleepers COUNT ROUNDS
    python -m benchmarks.waiting_child events RUNS ROUNDS

- ``sleepers``: with COUNT sleeping runs in the journal: statements and CPU of the worker while nothing is due,
  milliseconds of the look for what is due, and how late timers are, from due to queued and to claimed.
- ``events``: ten events to each of RUNS runs that wait for them one by one: events sent per second by one process, and
  events per second from the first sending to the end of the last run.

A worker of ``benchmarks.app`` runs beside it; ``BENCH_COUNTED`` names the file in which it counts its statements, and
``BENCH_WORKER`` its process.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import sqlalchemy as sa

from aiki_celery import RunStatus
from benchmarks import app

IDLE_SECONDS = 20
NAPS = 400
#: To each run.
EVENTS = 10
TIMEOUT_SECONDS = 300
#: Rows written by one statement.
CHUNK = 10_000

mode, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def sleepers() -> Iterator[dict[str, float]]:
    multiply(asleep(), count)
    looks = sorted(milliseconds(app.aiki.journal.timers.seconds_to_next) for _ in range(50))
    worker = psutil.Process(int(os.environ["BENCH_WORKER"]))
    for _ in range(rounds):
        statements, busy = statements_so_far(), cpu_seconds(worker)
        time.sleep(IDLE_SECONDS)
        statements, busy = statements_so_far() - statements, cpu_seconds(worker) - busy
        queued, claimed = lateness()
        yield {
            "value": statements / IDLE_SECONDS,
            "cpu": 100 * busy / IDLE_SECONDS,
            "look": statistics.median(looks),
            "queued p50": queued[len(queued) // 2],
            "queued p99": queued[int(len(queued) * 0.99)],
            "claimed p50": claimed[len(claimed) // 2],
            "claimed p99": claimed[int(len(claimed) * 0.99)],
        }


def events() -> Iterator[dict[str, float]]:
    for _ in range(rounds):
        handles = app.listener.enqueue_many([(EVENTS,) for _ in range(count)])
        wait_until(
            f"SELECT count(*) FROM aiki_runs WHERE status = 'awaiting_event' HAVING count(*) = {count}"
        )
        started = time.perf_counter()
        for number in range(EVENTS):
            for handle in handles:
                handle.send(app.told, number, id=f"event-{number}")
        sent = time.perf_counter() - started
        assert [handle.get(timeout=TIMEOUT_SECONDS) for handle in handles] == [
            EVENTS * (EVENTS - 1) // 2
        ] * count
        heard = time.perf_counter() - started
        yield {"value": EVENTS * count / heard, "sent": EVENTS * count / sent}


def wait_until(query: str) -> None:
    """Look until a query gives a row."""
    engine = sa.create_engine(app.JOURNAL, isolation_level="AUTOCOMMIT")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with engine.connect() as connection:
        while not connection.execute(sa.text(query)).first():
            assert time.monotonic() < deadline, f"never came true: {query}"
            time.sleep(0.05)
    engine.dispose()


def asleep() -> str:
    """A run that sleeps for days."""
    handle = app.nap.enqueue(7 * 24 * 3600.0)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while handle.status is not RunStatus.SLEEPING:
        assert time.monotonic() < deadline, f"the run is {handle.status}"
        time.sleep(0.02)
    return handle.id


def multiply(run_id: str, wanted: int) -> None:
    """Write a sleeping run's row many times over, due at any time of the week that begins in a day."""
    engine = sa.create_engine(app.JOURNAL)
    runs = sa.Table("aiki_runs", sa.MetaData(), autoload_with=engine)
    day = 24 * 3600 * 1_000_000
    with engine.begin() as connection:
        row = dict(connection.execute(sa.select(runs).where(runs.c.id == run_id)).mappings().one())
        start = row["due_at"] - 6 * day
        for first in range(0, wanted, CHUNK):
            copies = [
                row | {"id": f"{run_id}-{number}", "due_at": start + random.randrange(6 * day)}
                for number in range(first, min(first + CHUNK, wanted))
            ]
            connection.execute(sa.insert(runs), copies)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
    engine.dispose()


def lateness() -> tuple[list[float], list[float]]:
    """Milliseconds by which sleeping runs were queued, and claimed, after they were due; each list sorted."""
    handles = app.nap.enqueue_many([(random.uniform(8, 14),) for _ in range(NAPS)])
    for handle in handles:
        handle.get(timeout=TIMEOUT_SECONDS)
    queued, claimed = [], []
    for handle in handles:
        [sleep] = app.aiki.journal.views.steps(handle.id)
        after = [line for line in handle.history() if line.at >= (sleep.due_at or 0)]
        first = {
            status: next(line.at for line in after if line.status is status) for status in (QUEUED, RUNNING)
        }
        queued.append((first[QUEUED] - (sleep.due_at or 0)) / 1000)
        claimed.append((first[RUNNING] - (sleep.due_at or 0)) / 1000)
    return sorted(queued), sorted(claimed)


QUEUED, RUNNING = RunStatus.QUEUED, RunStatus.RUNNING


def statements_so_far() -> int:
    return int.from_bytes(Path(os.environ["BENCH_COUNTED"]).read_bytes()[:8], "little")


def cpu_seconds(worker: psutil.Process) -> float:
    family = [worker, *worker.children(recursive=True)]
    return sum(times.user + times.system for times in (process.cpu_times() for process in family))


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


modes: dict[str, Callable[[], Iterator[dict[str, float]]]] = {"sleepers": sleepers, "events": events}
for value in modes[mode]():
    print(json.dumps(value), flush=True)
