"""The demonstration: stations in a thread, one worker, and a producer on an event loop."""

import asyncio
import importlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REGIONS = ("coast", "hills", "islands", "valley")
STATIONS, SECONDS = 10, 0.3


class Stations:
    """Each takes a while to answer, and does so over and over on one connection."""

    def __init__(self) -> None:
        self.port = self.connections = self.readings = 0
        self._ready = threading.Event()
        threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True).start()
        self._ready.wait(10)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while line := await reader.readline():
            await asyncio.sleep(SECONDS)
            self.readings += 1
            writer.write(f"{len(line) + int(line.strip()[-1:])}\n".encode())
            await writer.drain()


async def reports(port: int) -> list[str]:
    report = importlib.import_module("examples.weather.report")
    handles = await asyncio.gather(*[report.daily_report.aenqueue(port, name, STATIONS) for name in REGIONS])
    return list(await asyncio.gather(*[handle.aget(timeout=60) for handle in handles]))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-weather-") as name:
        os.environ["WEATHER_JOURNAL"] = f"sqlite:///{name}/weather.sqlite3"
        stations = Stations()
        worker = start_worker(Path(name))
        try:
            began = time.monotonic()
            lines = asyncio.run(reports(stations.port))
            seconds = time.monotonic() - began
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    print("\n".join(lines))
    print(
        f"\n{stations.readings} readings of {SECONDS} s each, in {seconds:.1f} s by one process, over "
        f"{stations.connections} connections"
    )
    return 0 if stations.readings == len(REGIONS) * STATIONS else 1


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "examples.weather.report", "worker"]
    command += ["--pool", "threads", "--concurrency", "20", "--without-gossip", "--without-mingle"]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
