"""What the servers have in common: data of their own, readiness, being killed and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.harness.child_process import ChildProcess
from tests.harness.ports import free_port


class Server(ABC):
    """A server with its own port and data folder; the data stays over `kill()` and `start()`.

    Args:
        options: More settings, in the server's own notation.
    """

    name: ClassVar[str]
    start_timeout: ClassVar[float] = 60.0

    def __init__(self, *options: str) -> None:
        self.options = options
        self.port = free_port()
        # Not below pytest's temporary folder, which other users may not enter: PostgreSQL refuses to be root.
        self.folder = Path(tempfile.mkdtemp(prefix=f"test-{self.name}-"))
        self._counter = 0
        self._process: ChildProcess | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it."""

    @abstractmethod
    def prepare(self) -> None:
        """Lays the data folder, once."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The program and its arguments, to run in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether a client is served now."""

    def environment(self) -> dict[str, str]:
        """The server's environment variables."""
        return dict(os.environ)

    def user(self) -> str | None:
        """Whose rights it runs with, if not this process's."""
        return None

    def start(self) -> None:
        """Starts it, with the data it had, and waits until it serves clients."""
        if self._process is None:
            self.prepare()
            self._process = ChildProcess(
                self.name,
                self.command(),
                log_path=self.folder / f"{self.name}.log",
                env=self.environment(),
                cwd=self.folder,
                user=self.user(),
            )
        self._process.start()
        self._process.wait_until_ready(self.is_ready, self.start_timeout)

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when the machine fails; returns when they are gone."""
        self.process.kill_tree()

    def restart(self) -> None:
        """Kills it and starts it again with its data."""
        self.kill()
        self.start()

    def ensure_running(self) -> None:
        """Starts it if the test before left it dead."""
        if self._process is None or not self._process.is_running:
            self.start()

    def remove(self) -> None:
        """Kills it and deletes its data."""
        if self._process is not None:
            self._process.kill_tree()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Its main process."""
        return self.process.pid

    @property
    def process(self) -> ChildProcess:
        """For its log and for signals of other kinds."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def next_name(self) -> str:
        """A name no database (vhost, ...) of this server has had."""
        self._counter += 1
        return f"test_{self._counter}"


def unprivileged_user(*names: str) -> str | None:
    """The first of these users that exists if this process is root's; None (stay who we are) if it is not."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError(f"none of the users {', '.join(names)} exists")
