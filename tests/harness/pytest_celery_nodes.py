"""pytest-celery's nodes without Docker: its "containers" are this harness's processes.

A test module that overrides `celery_broker`, `celery_backend` and `celery_worker` with these nodes has the
rest of pytest-celery (clusters, `celery_setup`) as it is; `test_pytest_celery_nodes.py` shows it.
"""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import psutil
from pytest_celery import CeleryTestContainer, CeleryTestWorker

from tests.harness.child_process import ChildProcess
from tests.harness.redis_server import RedisServer
from tests.harness.worker import WorkerProcess


class ProcessContainer(CeleryTestContainer):
    """What pytest-celery asks of a container, answered by a local process."""

    def __init__(self) -> None:
        # Not the base class's: it wants a container of a Docker engine.
        pass

    @property
    def process(self) -> ChildProcess:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    @property
    def id(self) -> str:
        return str(self.process.pid)

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def status(self) -> str:
        return "running" if self.process.is_running else "exited"

    @property
    def env(self) -> dict[str, str]:
        return self.process.env

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "Config": {"Hostname": "127.0.0.1", "Env": [f"{key}={value}" for key, value in self.env.items()]}
        }

    def ready(self) -> bool:
        return self.process.is_running

    def logs(self) -> str:
        return self.process.log()

    def reload(self) -> None:
        """Nothing is cached."""

    def kill(self, signal: str | int = "SIGKILL") -> None:
        self.process.signal(_signal_number(signal))
        self.process.wait()

    def restart(self, timeout: int = 10) -> None:
        self.process.kill_tree()
        self.start()

    def exec_run(self, command: str, **options: Any) -> tuple[int, bytes]:
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.process.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout


class RedisContainer(ProcessContainer):
    """One database of a Redis server, as broker or result backend."""

    def __init__(self, server: RedisServer, url: str) -> None:
        self.server = server
        self.url = url

    @property
    def process(self) -> ChildProcess:
        return self.server.process

    def start(self) -> None:
        self.server.start()

    @property
    def ready_prompt(self) -> str:
        return "Ready to accept connections"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "host_url": self.url,
            "hostname": "127.0.0.1",
            "port": self.server.port,
            "vhost": self.url.rpartition("/")[2],
        }


class WorkerContainer(ProcessContainer):
    """A `celery worker`."""

    def __init__(self, worker: WorkerProcess, queue: str = "celery") -> None:
        self.worker = worker
        self.queue = queue

    @property
    def process(self) -> ChildProcess:
        return self.worker.process

    def start(self) -> None:
        self.worker.start()

    @property
    def ready_prompt(self) -> str:
        return "ready."

    def worker_name(self) -> str:
        return self.worker.hostname.partition("@")[0]

    def worker_queue(self) -> str:
        return self.queue

    def teardown(self) -> None:
        self.worker.close()


class WorkerNode(CeleryTestWorker):
    """A worker whose name and processes are known here, not inside a container."""

    container: WorkerContainer

    def hostname(self) -> str:
        return self.container.worker.hostname

    def get_running_processes_info(
        self, columns: list[str] | None = None, filters: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        attributes = columns or [
            "pid",
            "name",
            "username",
            "cmdline",
            "cpu_percent",
            "memory_percent",
            "create_time",
        ]
        main = psutil.Process(self.container.process.pid)
        found = [process.as_dict(attributes) for process in (main, *main.children(recursive=True))]
        return [
            info for info in found if all(info.get(key) == value for key, value in (filters or {}).items())
        ]


def _signal_number(number: str | int) -> int:
    return signal.Signals[number] if isinstance(number, str) else number
