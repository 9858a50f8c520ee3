"""The demonstration: two workers and no beat; one is killed, and each second has its one report."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")

#: How soon a silent worker counts as dead, and another one looks; the defaults would make a dull demonstration.
QUICK = {"AIKI_HEARTBEAT_INTERVAL": "0.5", "AIKI_WORKER_TTL": "2", "AIKI_POLL_INTERVAL": "0.2"}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-nightly-") as name:
        folder = Path(name)
        log = folder / "reports.log"
        log.touch()
        os.environ.update(QUICK, NIGHTLY_JOURNAL=f"sqlite:///{folder}/nightly.sqlite3", REPORTS=str(log))
        reports = importlib.import_module("examples.nightly.reports")
        workers = [start_worker(name, folder) for name in ("first", "second")]
        try:
            wait_until(lambda: len(seconds_in(log)) >= 3, "three reports")
            os.killpg(workers[0].pid, signal.SIGKILL)
            print(f"killed one of two workers with kill -9, after {len(seconds_in(log))} reports")
            wait_until(lambda: len(seconds_in(log)) >= 8, "five more")
            schedules = reports.aiki.schedules
            schedules.pause("each-second")
            wait_until(lambda: at_rest(reports), "the last report")
            once = told(runs_of(reports, "each-second"))
            # The clocks go forward in the second of these nights: there is no half past two.
            nights = schedules.backfill(
                "nightly", datetime(2026, 3, 28, tzinfo=BERLIN), datetime(2026, 3, 31, tzinfo=BERLIN)
            )
            for handle in nights:
                due = datetime.fromisoformat(handle.get(timeout=60).rpartition(" ")[2])
                print(f"filled in: nightly report for {due.astimezone(BERLIN)}")
            return 0 if once and len(nights) == 3 else 1
        finally:
            workers[-1].terminate()
            for worker in workers:
                worker.wait(timeout=30)


def told(runs: list[Any]) -> bool:
    due = sorted(run.scheduled_for // 1_000_000 for run in runs)
    once = due == list(range(due[0], due[-1] + 1))
    print(f"{len(due)} reports, one for each second." if once else f"Not one for each second: {due}")
    return once


def start_worker(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.nightly.reports", "worker"]
    command += ["--concurrency", "2", "--hostname", f"{name}@demo", "--without-gossip", "--without-mingle"]
    with (folder / f"{name}.worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def seconds_in(log: Path) -> list[str]:
    """The short reports that are written."""
    return [line for line in log.read_text().splitlines() if line.startswith("short")]


def runs_of(reports: Any, schedule: str) -> list[Any]:
    return list(reports.aiki.journal.views.find(schedule=schedule, limit=1000))


def at_rest(reports: Any) -> bool:
    return all(run.status.is_terminal for run in runs_of(reports, "each-second"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
