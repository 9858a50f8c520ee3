"""The demonstration: five orders, three addresses, one worker."""

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ADDRESSES = ["Elm Street 1", "Oak Lane 22", "Elm Street 1", "Elm Street 1", "Atlantis 3"]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-shipments-") as folder:
        os.environ["SHOP_JOURNAL"] = f"sqlite:///{folder}/shop.sqlite3"
        shop = importlib.import_module("examples.shipments.shop")
        worker = start_worker(Path(folder))
        try:
            return demonstrate(shop)
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def demonstrate(shop: Any) -> int:
    orders = [
        (shop.Order(id=f"A-{number}", address=address, day="2030-05-01"),)
        for number, address in enumerate(ADDRESSES, 1)
    ]
    for handle in shop.order.enqueue_many(orders):
        print(handle.get(timeout=60))
    shipments = shop.aiki.journal.views.find(workflow="shipment")
    print(f"\n{len(orders)} orders, {len(shipments)} shipments:")
    for run in sorted(shipments, key=lambda run: run.reference_id):
        print(f"  {run.reference_id:<26} {run.status}")
    return 0 if len(shipments) == len(set(ADDRESSES)) else 1


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "examples.shipments.shop",
        "worker",
        "--concurrency",
        "4",
    ]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], stdout=log, stderr=log, start_new_session=True
        )


if __name__ == "__main__":
    sys.exit(main())
