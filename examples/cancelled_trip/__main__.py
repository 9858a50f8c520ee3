"""The demonstration: four trips, one worker, and somebody who changes their mind."""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiki_celery import RunStatus, WorkflowCancelled, WorkflowHandle


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-trips-") as folder:
        os.environ["TRIPS_JOURNAL"] = f"sqlite:///{folder}/trips.sqlite3"
        os.environ["TRIPS_LEDGER"] = f"{folder}/ledger.jsonl"
        flows = importlib.import_module("examples.cancelled_trip.flows")
        worker = start_worker(Path(folder))
        try:
            return demonstrate(flows, Path(folder) / "ledger.jsonl")
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def demonstrate(flows: Any, ledger: Path) -> int:
    def asked(traveller: str, asked: str, what: str) -> list[Any]:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        wanted = {"traveller": traveller, "asked": asked, "what": what}
        return [fact for fact in map(json.loads, lines) if fact.items() >= wanted.items()]

    ann = flows.trip.enqueue("ann")
    bob = flows.trip.options(deadline=3.0).enqueue("bob")
    cid = flows.trip.enqueue("cid", 0.5)
    dot = flows.trip.enqueue("dot", 0.5)

    wait_for(lambda: asked("cid", "book", "flight"))
    cid.pause()
    wait_for(lambda: ann.status is RunStatus.SLEEPING)
    ann.cancel("the weather")
    wait_for(lambda: dot.status is RunStatus.SLEEPING)
    dot.cancel("a strike")
    (giving_back,) = wait_for(lambda: asked("dot", "give back", "flight"))
    os.kill(giving_back["pid"], signal.SIGKILL)
    wait_for(lambda: cid.status is RunStatus.PAUSED)
    cid.resume()
    wait_for(lambda: cid.status is RunStatus.SLEEPING)
    cid.wake()

    for handle in (ann, bob, cid, dot):
        print(outcome(handle))
    print()
    done = [fact for fact in map(json.loads, ledger.read_text().splitlines()) if "did" in fact]
    for traveller in ("ann", "bob", "cid", "dot"):
        had = [f"{fact['did']} {fact['what']}" for fact in done if fact["traveller"] == traveller]
        print(f"{traveller}: {', '.join(had)}")
    return 0


def outcome(handle: WorkflowHandle[str]) -> str:
    try:
        return handle.get(timeout=60)
    except WorkflowCancelled as cancelled:
        return f"cancelled: {cancelled.reason}"


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError("the demonstration does not come to its end")
        time.sleep(0.02)
    return found


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    worker = ["celery", "-A", "examples.cancelled_trip.flows", "worker", "--concurrency", "4"]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *worker, "--without-gossip", "--without-mingle"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


if __name__ == "__main__":
    sys.exit(main())
