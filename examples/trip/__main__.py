"""The demonstration: the worker is killed while it cancels a trip, and another one cancels the rest."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiki_celery import WorkflowFailed
from examples.trip import partners

#: How soon a silent worker counts as dead, and a message as lost; the defaults would make a dull demonstration.
QUICK = {
    "AIKI_HEARTBEAT_INTERVAL": "0.5",
    "AIKI_WORKER_TTL": "2",
    "AIKI_POLL_INTERVAL": "0.2",
    "AIKI_REDELIVERY_AFTER": "2",
}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-trip-") as name:
        folder = Path(name)
        os.environ.update(QUICK, TRIP_JOURNAL=f"sqlite:///{folder}/trip.sqlite3", TRIP_PARTNERS=name)
        agency = importlib.import_module("examples.trip.agency")
        workers = [start_worker("first", folder)]
        try:
            handle = agency.book_trip.enqueue("ann")
            wait_for("flight #1 cancelled")
            os.killpg(workers[0].pid, signal.SIGKILL)
            print("killed the worker with kill -9 while it cancelled the flight")
            workers.append(start_worker("second", folder))
            try:
                handle.get(timeout=60)
            except WorkflowFailed as error:
                print(f"no trip: {error.type}: {error.message}")
            shown = tell(0)
            (folder / "cars").touch()
            print("there is a car again, and the run is retried")
            handle.retry()
            bookings = handle.get(timeout=60)
            tell(shown)
            print(f"the trip: {', '.join(bookings)}")
            return judge(bookings)
        finally:
            workers[-1].terminate()
            for worker in workers:
                worker.wait(timeout=30)


def judge(bookings: list[str]) -> int:
    noted = partners.notes()
    cancelled = [line for line in noted if line.endswith("cancelled")]
    right = cancelled == ["flight #1 cancelled", "hotel #1 cancelled"]
    right = right and bookings == ["insurance of ann #1", "hotel #2", "flight #2", "car #1"]
    print("Each booking of the first try was cancelled once." if right else "That is not what it should be.")
    return 0 if right else 1


def tell(shown: int) -> int:
    """Prints what the partners have noted since, without the keys."""
    noted = partners.notes()
    for line in noted[shown:]:
        print(f"  {line.partition(', key')[0]}")
    return len(noted)


def start_worker(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.trip.agency", "worker"]
    command += ["--concurrency", "1", "--hostname", f"{name}@demo", "--without-gossip", "--without-mingle"]
    with (folder / f"{name}.worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def wait_for(line: str) -> None:
    deadline = time.monotonic() + 60
    while line not in partners.notes():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {line!r}")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
