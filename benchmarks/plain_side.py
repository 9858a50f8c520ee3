"""Plain Celery: its chord, and the memory of its worker beside ours."""

import sys
from collections.abc import Iterator

import psutil

from benchmarks.children import values
from benchmarks.figures import Figure
from tests.harness.worker import WorkerProcess


def chord(broker: str, count: int, rounds: int) -> Iterator[Figure]:
    """A chord of so many tasks: not durable, its results in Redis."""
    env = {"BENCH_BROKER": broker}
    with WorkerProcess("benchmarks.plain_app", pool="prefork", concurrency=2, env=env, log_level="info"):
        times = values([sys.executable, "-m", "benchmarks.plain_child", str(count), str(rounds)], env)
    yield Figure(
        f"celery.chord.{count}", "postgres", "ms", times, f"Celery's own chord of {count:,}, Redis backend"
    )


def memory(broker: str, journal: str) -> Iterator[Figure]:
    """What a worker's processes, ``-c 2``, have to themselves after some work."""
    plain = {"BENCH_BROKER": broker}
    with WorkerProcess(
        "benchmarks.plain_app", pool="prefork", concurrency=2, env=plain, log_level="info"
    ) as worker:
        values([sys.executable, "-m", "benchmarks.plain_child", "200", "1"], plain)
        yield Figure(
            "celery.memory", "postgres", "MB", (_megabytes(worker),), "a bare worker, -c 2, after 200 tasks"
        )
    env = plain | {"BENCH_JOURNAL": journal}
    values([sys.executable, "-m", "benchmarks.aiki_child", "upgrade", "0", "0"], env)
    with WorkerProcess("benchmarks.app", pool="prefork", concurrency=2, env=env, log_level="info") as worker:
        values([sys.executable, "-m", "benchmarks.aiki_child", "fan-out", "200", "1"], env)
        yield Figure(
            "aiki.memory", "postgres", "MB", (_megabytes(worker),), "a worker with Aiki, after 200 steps"
        )


def _megabytes(worker: WorkerProcess) -> float:
    """Proportional set size of the main process and its children: shared pages are divided among who shares them."""
    processes = [psutil.Process(worker.pid), *worker.children()]
    return sum(process.memory_full_info().pss for process in processes) / 1e6
