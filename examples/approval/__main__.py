"""The demonstration: four purchases, one worker, a web server, and somebody who clicks on links."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PURCHASES = [("pencil", 2, 60.0), ("laptop", 2000, 60.0), ("yacht", 900_000, 60.0), ("chair", 300, 2.0)]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-approval-") as folder:
        os.environ["SHOP_JOURNAL"] = f"sqlite:///{folder}/shop.sqlite3"
        os.environ["SHOP_OUTBOX"] = folder
        flows = importlib.import_module("examples.approval.flows")
        web = importlib.import_module("examples.approval.web")
        worker = start_worker(Path(folder))
        server = web.serve()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return demonstrate(flows, Path(folder), f"http://127.0.0.1:{server.server_port}/decide")
        finally:
            server.shutdown()
            worker.terminate()
            worker.wait(timeout=30)


def demonstrate(flows: Any, outbox: Path, address: str) -> int:
    handles = flows.purchase.enqueue_many(PURCHASES)
    laptop, yacht = read_mail(outbox / "laptop.json"), read_mail(outbox / "yacht.json")
    print("guessed:", click(f"{address}/{laptop[:-1]}x?by=eve&approved=true"))
    print("laptop: ", click(f"{address}/{laptop}?by=ann&approved=true"))
    print("again:  ", click(f"{address}/{laptop}?by=ann&approved=true"))
    print("yacht:  ", click(f"{address}/{yacht}?by=ann&approved=false"))
    print()
    results = [handle.get(timeout=60) for handle in handles]
    for result in results:
        print(result)
    print("\nlate:   ", click(f"{address}/{read_mail(outbox / 'chair.json')}?by=ann&approved=true"))
    return 0 if sum(" ordered" in result and "not" not in result for result in results) == 2 else 1


def read_mail(mail: Path) -> str:
    """Wait for a mail and give the token in it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return str(json.loads(mail.read_text())["token"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise TimeoutError(f"no mail {mail}")


def click(link: str) -> str:
    try:
        with urllib.request.urlopen(link, timeout=30) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "examples.approval.flows",
        "worker",
        "--concurrency",
        "2",
    ]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], stdout=log, stderr=log, start_new_session=True
        )


if __name__ == "__main__":
    sys.exit(main())
