"""The demonstration: six orders, one of them taken back, and a worker that is killed in the middle of a booking."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

BALANCES = {"ann": 500, "bob": 500, "cem": 500}
ORDERS = [
    ("ann", "bob", 200),
    ("bob", "cem", 100),
    ("cem", "ann", 300),
    ("ann", "cem", 50),
    ("bob", "ann", 5000),
]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-bank-") as folder:
        os.environ["BANK_JOURNAL"] = f"sqlite:///{folder}/bank.sqlite3"
        os.environ.setdefault("AIKI_HEARTBEAT_INTERVAL", "0.5")
        os.environ.setdefault("AIKI_WORKER_TTL", "2")
        os.environ.setdefault("AIKI_REDELIVERY_AFTER", "2")
        bank = importlib.import_module("examples.transfer.bank")
        bank.open_bank(BALANCES)
        worker = start_worker(Path(folder), delay=1.0)
        try:
            handles = [bank.place(*order) for order in ORDERS]
            bank.place("ann", "bob", 1, changes_mind=True)
            wait_for_a_booking(handles)
            os.killpg(worker.pid, signal.SIGKILL)
            print("The worker was killed in the middle of a booking.")
            worker = start_worker(Path(folder), delay=0.0)
            for handle in handles:
                print(handle.get(timeout=60))
            return judge(bank)
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def wait_for_a_booking(handles: list[Any]) -> None:
    deadline = time.monotonic() + 30
    while all(handle.status != "running" for handle in handles):
        if time.monotonic() > deadline:
            raise TimeoutError("no booking was begun")
        time.sleep(0.05)
    time.sleep(0.3)


def judge(bank: Any) -> int:
    with Session(bank.engine) as session:
        balances = {account.name: account.balance for account in session.scalars(select(bank.Account))}
        orders = len(session.scalars(select(bank.Order)).all())
        booked = sorted(booking.order_id for booking in session.scalars(select(bank.Booking)))
    print(f"\n{orders} orders, {len(booked)} bookings: {booked}")
    print(f"Balances: {balances}, together {sum(balances.values())}.")
    is_right = orders == len(ORDERS) and len(booked) == len(set(booked)) == len(ORDERS) - 1
    return 0 if is_right and sum(balances.values()) == sum(BALANCES.values()) else 1


def start_worker(folder: Path, delay: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.transfer.bank", "worker", "--concurrency", "2"]
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "BANK_DELAY": str(delay)},
        )


if __name__ == "__main__":
    sys.exit(main())
