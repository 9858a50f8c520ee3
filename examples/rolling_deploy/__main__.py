"""The demonstration: an order is under way while the shop's code is exchanged."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-deploy-") as name:
        folder = Path(name)
        os.environ["SHOP_JOURNAL"] = f"sqlite:///{folder}/shop.sqlite3"
        monday = importlib.import_module("examples.rolling_deploy.release_one")
        with worker("release_one", folder):
            old = monday.fulfil.enqueue("order-1")
            wait_until_asleep(old)
            print("order-1 is paid, and waits; the shop is deployed anew")
        with worker("release_two", folder):
            # By the bare name, as plain Celery producers do it: the highest version there is.
            new = monday.app.send_task("fulfil", ["order-2"])
            runs = [told(monday.aiki, run_id) for run_id in (new.id, old.id)]
    expected = [
        ("2.0.0", ["order-2 checked", "order-2 paid", "order-2 shipped"]),
        ("1.0.0", ["order-1 paid", "order-1 shipped"]),
    ]
    print("Each order was done by the code it began with." if runs == expected else "Something is wrong.")
    return 0 if runs == expected else 1


def told(aiki: Any, run_id: str, seconds: float = 30.0) -> tuple[str, list[str]]:
    """Wait for a run that a message may still be about to make, and print what it did."""
    deadline = time.monotonic() + seconds
    while not (found := [run for run in aiki.journal.views.find() if run.id == run_id]):
        assert time.monotonic() < deadline, "no worker has taken the order"
        time.sleep(0.05)
    run = aiki.wait(found[0].id, timeout=seconds)
    done = json.loads(run.output or "[]")
    print(f"{run.definition}: {', '.join(done)}")
    return run.version, done


def wait_until_asleep(handle: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while handle.status != "sleeping":
        assert time.monotonic() < deadline, f"the order is {handle.status}"
        time.sleep(0.05)


@contextmanager
def worker(release: str, folder: Path) -> Iterator[None]:
    """A real worker of one release, ended by SIGTERM."""
    command = [sys.executable, "-m", "celery", "-A", f"examples.rolling_deploy.{release}", "worker"]
    command += ["--concurrency", "2", "--hostname", f"{release}@demo", "--without-gossip", "--without-mingle"]
    with (folder / f"{release}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
