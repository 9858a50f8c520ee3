"""absurd on the same work. Runs with absurd's own Python and prints one JSON object per line.

    absurd_child.py inline|replay|drain|execute DATABASE_URL COUNT ROUNDS

The modes are those of ``dbos_child.py``; ``replay`` times a whole attempt that finds COUNT checkpoints.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import Absurd

mode, url, count, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
# absurd takes the URL of the plain driver name.
url = url.replace("postgresql+psycopg://", "postgresql://")

with psycopg.connect(url) as connection:
    is_new = connection.execute("SELECT to_regnamespace('absurd')").fetchone() == (None,)
if is_new:
    control = Path(sys.executable).with_name("absurdctl")
    environment = {**os.environ, "ABSURD_DATABASE_URL": url}
    subprocess.run([sys.executable, str(control), "init"], env=environment, check=True, stdout=sys.stderr)
absurd = Absurd(url, queue_name="bench")
if "bench" not in absurd.list_queues():
    absurd.create_queue()


@absurd.register_task("many-steps")
def many_steps(params: dict[str, Any], ctx: Any) -> int:
    value = 0
    for _ in range(params["steps"]):
        value = ctx.step("increment", lambda value=value: value + 1)
    if params["fails"]:
        raise RuntimeError("so that it is tried again")
    return value


@absurd.register_task("one-step")
def one_step(params: dict[str, Any], ctx: Any) -> int:
    return ctx.step("increment", lambda: params["value"] + 1)


def seconds_of_batch() -> float:
    started = time.perf_counter()
    absurd.work_batch()
    return time.perf_counter() - started


def inline() -> Iterator[float]:
    for _ in range(rounds):
        absurd.spawn("many-steps", {"steps": count, "fails": False})
        yield count / seconds_of_batch()


def replay() -> Iterator[float]:
    no_wait = {"kind": "none"}
    task = {"steps": count, "fails": True}
    absurd.spawn("many-steps", task, max_attempts=rounds + 1, retry_strategy=no_wait)
    seconds_of_batch()
    for _ in range(rounds):
        yield seconds_of_batch() * 1000


def drain() -> Iterator[float]:
    worker = Absurd(url, queue_name="bench")
    worker._registry.update(absurd._registry)
    thread = threading.Thread(target=worker.start_worker, kwargs={"batch_size": 20, "poll_interval": 0.02})
    thread.start()
    for _ in range(rounds):
        started = time.perf_counter()
        for number in range(count):
            absurd.spawn("one-step", {"value": number})
        wait_until_drained()
        yield count / (time.perf_counter() - started)
    worker.stop_worker()
    thread.join()


def wait_until_drained() -> None:
    """Poll with one statement for all."""
    with psycopg.connect(url, autocommit=True) as watcher:
        query = "SELECT 1 FROM absurd.t_bench WHERE state NOT IN ('completed', 'failed') LIMIT 1"
        while watcher.execute(query).fetchone():
            time.sleep(0.02)


if mode == "execute":
    print(json.dumps({"ready": True}), flush=True)
    threading.Thread(
        target=absurd.start_worker, kwargs={"batch_size": 20, "poll_interval": 0.02}, daemon=True
    ).start()
    sys.stdin.read()
else:
    for value in {"inline": inline, "replay": replay, "drain": drain}[mode]():
        print(json.dumps({"value": value}), flush=True)
