"""A report on the weather: many slow stations, asked side by side by one process."""

import asyncio
import os
from weakref import WeakKeyDictionary

from celery import Celery

from aiki_celery import Aiki, Retry, WorkflowRun, task, workflow

app = Celery("weather")
aiki = Aiki(app, journal=os.environ.get("WEATHER_JOURNAL", "sqlite:///weather.sqlite3"))

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

#: Connections that nobody is using, of each event loop.
idle: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Connection]] = WeakKeyDictionary()


async def ask(port: int, station: str) -> str:
    """As the client of a library would: over a connection that is kept."""
    connections = idle.setdefault(asyncio.get_running_loop(), [])
    reader, writer = connections.pop() if connections else await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{station}\n".encode())
    await writer.drain()
    answer = (await reader.readline()).decode().strip()
    connections.append(
        (reader, writer)
    )  # not if that failed: what is left of it would answer the next question
    return answer


@task(name="measure", timeout=10, retry=Retry.exponential(max_attempts=3, base_delay=0.1))
async def measure(port: int, station: str) -> int:
    return int(await ask(port, station))


@workflow(name="daily-report", version="1.0.0")
def daily_report(run: WorkflowRun, port: int, region: str, stations: int) -> str:
    measured = run.gather(*[measure.start(run, port, f"{region}-{number}") for number in range(stations)])
    return f"{region}: {min(measured)} to {max(measured)} degrees"
