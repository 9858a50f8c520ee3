"""A real `celery worker`, to be watched, stopped and killed."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.harness.child_process import ChildProcess

REPOSITORY = Path(__file__).resolve().parents[2]
numbers = itertools.count(1)
logs = tempfile.TemporaryDirectory(prefix="test-workers-")


class WorkerProcess:
    """`celery -A <app> worker` in a session of its own; as a context manager, ready inside and gone after.

    Args:
        app: What follows `-A`: a module, or `module:attribute`.
        pool: `prefork`, `threads`, `gevent` or `solo`.
        concurrency: Pool size.
        queues: Names of the queues to consume; the app's own choice if empty.
        hostname: Node name; a new one for each worker if None.
        env: Added to this process's environment.
        args: Further command line arguments.
        cwd: Working directory, the repository's root if None. Both can be imported from.
        log_path: Where its output goes; a temporary file if None.
        log_level: Of Celery's logging. Readiness is read from the log, so at least `info`.
        mingle: Whether to ask other workers for their state first, as Celery does by default: a second more.
        ready_timeout: Seconds until it must consume.
    """

    def __init__(
        self,
        app: str,
        *,
        pool: str = "prefork",
        concurrency: int = 2,
        queues: Sequence[str] = (),
        hostname: str | None = None,
        env: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        cwd: Path | str | None = None,
        log_path: Path | None = None,
        log_level: str = "info",
        mingle: bool = False,
        ready_timeout: float = 30.0,
    ) -> None:
        self.hostname = hostname or f"worker{next(numbers)}@test-{os.getpid()}"
        self.ready_timeout = ready_timeout
        folder = Path(cwd) if cwd else REPOSITORY
        self.process = ChildProcess(
            self.hostname,
            [
                *(sys.executable, "-m", "celery", "-A", app, "worker"),
                *("--pool", pool, "--concurrency", str(concurrency)),
                *("--hostname", self.hostname, "--loglevel", log_level),
                *(("--queues", ",".join(queues)) if queues else ()),
                *(() if mingle else ("--without-mingle", "--without-gossip")),
                *args,
            ],
            log_path=log_path or Path(logs.name) / f"{self.hostname}.log",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _python_path(folder), **(env or {})},
            cwd=folder,
        )

    def start(self) -> WorkerProcess:
        """Starts it (again, if it has ended) and waits until it consumes."""
        self.process.start()
        self.process.wait_until_ready(
            lambda: bool(re.search(r"@\S+ ready\.", self.log())), self.ready_timeout
        )
        return self

    def __enter__(self) -> WorkerProcess:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The main process; also the id of the group it leads."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether the main process lives."""
        return self.process.is_running

    def children(self) -> list[psutil.Process]:
        """Its pool processes, oldest first."""
        return sorted(self.process.descendants(), key=lambda child: child.create_time())

    def kill(self) -> None:
        """SIGKILL to the main process; its pool processes are Linux's to end."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(10)

    def kill_group(self) -> None:
        """SIGKILL to the main process and every pool process at once."""
        self.process.kill_tree()

    def kill_child(self, pid: int | None = None) -> int:
        """SIGKILL to one pool process, the oldest if none is given; returns its pid."""
        pids = [child.pid for child in self.children()]
        pid = pid or pids[0]
        assert pid in pids, f"{pid} is no pool process of {self.hostname}, which has {pids}"
        os.kill(pid, signal.SIGKILL)
        return pid

    def terminate(self) -> None:
        """SIGTERM: a warm shutdown begins. `wait()` for its end."""
        self.process.signal(signal.SIGTERM)

    def quit(self) -> None:
        """SIGQUIT: a cold shutdown begins. `wait()` for its end."""
        self.process.signal(signal.SIGQUIT)

    def stop(self) -> None:
        """SIGSTOP to the whole group: alive for the machine, silent for everybody else."""
        self.process.signal_group(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT to the whole group."""
        self.process.signal_group(signal.SIGCONT)

    def wait(self, timeout: float = 30.0) -> int:
        """The main process's exit code, once it ends by itself."""
        return self.process.wait(timeout)

    def log(self) -> str:
        """What it has logged since it was last started."""
        return self.process.log()

    def close(self) -> None:
        """Leaves nothing of it behind."""
        self.process.kill_tree()


def _python_path(folder: Path) -> str:
    paths = [str(folder), str(REPOSITORY), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return os.pathsep.join(dict.fromkeys(path for path in paths if path))
