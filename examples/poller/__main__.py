"""The demonstration: one worker, whose process dies once, and one run that begins anew again and again."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ORDERS = 23


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-poller-") as name:
        folder = Path(name)
        os.environ.update(TILL_JOURNAL=f"sqlite:///{folder}/till.sqlite3", TILL_ACCIDENT=f"{folder}/accident")
        till = importlib.import_module("examples.poller.till")
        shop, books = folder / "shop.txt", folder / "books.txt"
        shop.write_text("".join(f"order-{number}\n" for number in range(ORDERS)))
        handle = till.poll_shop.options(reference_id="the-shop").enqueue(str(shop), str(books), 0, ORDERS)
        worker = start_worker(folder)
        try:
            watch(handle)
            print(handle.get(timeout=30))
        finally:
            worker.terminate()
            worker.wait(timeout=30)
        return told(handle, books, folder)


def watch(handle: object, seconds: float = 60.0) -> None:
    """Print each progress there is, until the run is over."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        progress, status = handle.progress, handle.status  # type: ignore[attr-defined]
        if progress is not None and str(progress) != last:
            last = str(progress)
            print(last)
        if status.is_terminal:
            return
        time.sleep(0.05)


def told(handle: object, books: Path, folder: Path) -> int:
    booked = [line.split()[0] for line in books.read_text().splitlines()]
    run = handle.refresh()  # type: ignore[attr-defined]
    died = (folder / "accident").exists()
    print(f"\nrun {run.id}: {run.generation + 1} generations, {run.epoch} claims, a process died: {died}")
    once = sorted(booked) == sorted(f"order-{number}" for number in range(ORDERS))
    print("Each order was booked exactly once." if once else "Some order was not booked exactly once.")
    return 0 if once and died else 1


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.poller.till", "worker", "--concurrency", "2"]
    command += ["--hostname", "till@demo", "--without-gossip", "--without-mingle"]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
