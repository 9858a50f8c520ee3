"""The demonstration: a worker is killed with kill -9 while a chord's header is under way, and the body runs once."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiki_celery import durable

#: How soon a silent worker counts as dead; the default of 15 s would make a dull demonstration.
QUICK = {"AIKI_HEARTBEAT_INTERVAL": "0.5", "AIKI_WORKER_TTL": "2", "AIKI_POLL_INTERVAL": "0.2"}


def main() -> int:
    """Play it, and tell whether it went as it should."""
    with tempfile.TemporaryDirectory(prefix="aiki-album-") as folder:
        ledger = Path(folder, "ledger.txt")
        os.environ.update(QUICK, ALBUM_JOURNAL=f"sqlite:///{folder}/album.sqlite3", ALBUM_LEDGER=str(ledger))
        album = importlib.import_module("examples.canvas.album")
        handle = durable(album.pages).enqueue()
        first = work()
        try:
            wait_for(lambda: ledger.exists() and ledger.read_text().count("resize") == 3)
            time.sleep(1)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        print("KILLED with kill -9, while the dog is resized")
        second = work()
        try:
            print(handle.get(timeout=60))
        finally:
            os.killpg(second.pid, signal.SIGKILL)
            second.wait()
        done = ledger.read_text().split("\n")
    for line in sorted({line for line in done if line}):
        print(f"{line}: {done.count(line)}")
    return 0 if done.count("bind") == done.count("resize cat") == 1 else 1


def work() -> subprocess.Popen[bytes]:
    """Start a worker, in a process group of its own."""
    command = [sys.executable, "-m", "celery", "-A", "examples.canvas.album", "worker", "--concurrency", "3"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def wait_for(is_so, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the first worker did not begin")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
