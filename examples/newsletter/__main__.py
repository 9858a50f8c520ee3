"""The demonstration: the worker is killed while it sends, and another one sends the rest."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READERS = ["editor@example.com", *(f"{name}@example.com" for name in ("ann", "bob", "carol", "dave", "eve"))]

#: How soon a silent worker counts as dead, and a message as lost; the defaults would make a dull demonstration.
QUICK = {
    "AIKI_HEARTBEAT_INTERVAL": "0.5",
    "AIKI_WORKER_TTL": "2",
    "AIKI_POLL_INTERVAL": "0.2",
    "AIKI_REDELIVERY_AFTER": "2",
}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-newsletter-") as name:
        folder = Path(name)
        log = folder / "mail.log"
        os.environ.update(
            QUICK, NEWSLETTER_JOURNAL=f"sqlite:///{folder}/newsletter.sqlite3", MAIL_LOG=str(log)
        )
        flows = importlib.import_module("examples.newsletter.flows")
        workers = [start_worker("first", folder)]
        try:
            handle = flows.send_issue.enqueue(7, READERS)
            wait_for_lines(log, 2)
            os.killpg(workers[0].pid, signal.SIGKILL)
            print(f"killed the worker with kill -9 after:\n  {'  '.join(lines_of(log))}")
            workers.append(start_worker("second", folder))
            results = handle.get(timeout=60)
            return told(results, lines_of(log))
        finally:
            workers[-1].terminate()
            for worker in workers:
                worker.wait(timeout=30)


def told(results: list[str], lines: list[str]) -> int:
    print(f"all that the mail server saw:\n  {'  '.join(lines)}")
    print("\n".join(results))
    by_id = {line.partition(", id ")[2] for line in lines if line.startswith("sent")}
    once = len(by_id) == len(READERS)
    print("Each reader has one message." if once else "Some reader has none, or two.")
    return 0 if once and "carol@example.com: sent in try 2" in results else 1


def start_worker(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.newsletter.flows", "worker"]
    command += ["--concurrency", "2", "--hostname", f"{name}@demo", "--without-gossip", "--without-mingle"]
    with (folder / f"{name}.worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines(keepends=True) if log.exists() else []


def wait_for_lines(log: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines_of(log)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {count} lines in {log}")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
