"""The demonstration: a worker is killed with kill -9 in the middle of a step, and another one goes on."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from examples.order.narration import Narrator
from examples.order.outside_world import effects

#: How soon a silent worker counts as dead; the default of 15 s would make a dull demonstration.
QUICK = {"AIKI_HEARTBEAT_INTERVAL": "0.5", "AIKI_WORKER_TTL": "2", "AIKI_POLL_INTERVAL": "0.2"}


def main() -> int:
    narrator = Narrator(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="aiki-demo-") as folder:
        os.environ.update(
            QUICK, SHOP_JOURNAL=f"sqlite:///{folder}/shop.sqlite3", SHOP_LEDGER=f"{folder}/ledger.jsonl"
        )
        shop = importlib.import_module("examples.order.shop")
        workers: list[subprocess.Popen[bytes]] = []
        try:
            return demonstrate(shop, narrator, workers, Path(folder))
        finally:
            for worker in workers:
                end(worker)


def demonstrate(shop: Any, narrator: Narrator, workers: list[subprocess.Popen[bytes]], folder: Path) -> int:
    narrator.title("One order, two workers, one kill -9")
    narrator.say("No server: the journal and the broker are one SQLite file.")
    workers.append(start_worker("ann", folder))
    narrator.say("worker ann started:  celery -A examples.order.shop worker", who="ann")
    order = shop.Order(id="A-1042", item="teapot", amount=Decimal("39.90"))
    handle = shop.process_order.enqueue(order)
    narrator.watch(shop.aiki, handle.id)
    narrator.say(f"run {handle.id} is in the journal; its message is on the way")
    narrator.follow_until(lambda: narrator.is_running("pack-parcel", after="charge-card"), 30)
    time.sleep(0.5)
    workers[0].send_signal(
        signal.SIGSTOP
    )  # so that its children cannot be cleaned up by it: the hardest way to go
    os.killpg(workers[0].pid, signal.SIGKILL)
    workers[0].wait()
    narrator.say("KILLED with kill -9, in the middle of pack-parcel", who="ann", bad=True)
    workers.append(start_worker("bob", folder))
    narrator.say("worker bob started; it finds ann silent and takes over what was hers", who="bob")
    narrator.follow_until(lambda: handle.status.is_terminal, 60)
    receipt = handle.get(timeout=5)
    narrator.say(f"receipt: {receipt}")
    counted = Counter(str(effect["effect"]) for effect in effects())
    narrator.table(counted)
    expected = {"reserve-stock": 1, "charge-card": 1, "pack-parcel": 1, "send-receipt": 1}
    once = counted == expected
    narrator.conclude(once)
    return 0 if once else 1


def start_worker(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.order.shop", "worker", "--concurrency", "1"]
    command += ["--hostname", f"{name}@demo", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    log = (folder / f"{name}.log").open("wb")
    worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    wait_for(lambda: b"ready." in (folder / f"{name}.log").read_bytes(), 30, f"worker {name} to be ready")
    return worker


def end(worker: "subprocess.Popen[bytes]") -> None:
    if worker.poll() is None:
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
