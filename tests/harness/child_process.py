"""A process that a test starts, watches and kills."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.harness.eventually import eventually

started: list[ChildProcess] = []


class ChildProcess:
    """One program in a session (and process group) of its own, its output kept in a file.

    Args:
        name: What it is called in messages.
        command: Program and arguments.
        log_path: Where its output goes; a later start goes on in the same file.
        env: Its whole environment; this process's if None.
        cwd: Its working directory.
        user: Whose rights it runs with, for root to give up its own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = log_path
        self.env = dict(os.environ if env is None else env)
        self.cwd = cwd
        self.user = user
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> None:
        """Starts it, and returns before it is ready."""
        assert not self.is_running, f"{self.name} is running"
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )
        if self not in started:
            started.append(self)

    @property
    def pid(self) -> int:
        """Also after it has died."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False before the first start and once it has ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit code (negative: the signal that ended it); None while it runs."""
        return self._process.poll()

    def descendants(self) -> list[psutil.Process]:
        """Its children and theirs, as they are now; empty once it has died."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: int) -> None:
        """Signals the process itself."""
        self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Signals everything in its process group, also after the process itself has died."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code, once it ends by itself.

        Raises:
            AssertionError: It is still running after `timeout` seconds.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout:g} s\n{self.tail()}") from None

    def wait_until_ready(self, is_ready: Callable[[], bool], timeout: float) -> None:
        """Waits for `is_ready()`; fails at once, with the end of the log, if the process ends instead."""
        try:
            eventually(lambda: not self.is_running or is_ready(), timeout, f"{self.name} to be ready")
            assert self.is_running, f"{self.name} ended with {self.returncode} while starting"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def kill_tree(self) -> None:
        """SIGKILL to the process, its group and its descendants; returns when all are gone."""
        if self._popen is None:
            return
        # The group alone is not enough: some servers' children lead sessions of their own (PostgreSQL's do).
        members = {*self.descendants(), *self._session()}
        self.signal_group(signal.SIGKILL)
        for process in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._popen.wait(10)
        eventually(
            lambda: not any(map(_is_alive, members)),
            10,
            f"the end of {self.name} after SIGKILL",
            interval=0.005,
        )

    def log(self) -> str:
        """What it has written since it was last started."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 40) -> str:
        """The last lines of its log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _session(self) -> list[psutil.Process]:
        """The processes of its session: those that outlived it, too."""
        members = []
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == self.pid:
                    members.append(psutil.Process(pid))
        return members

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen


def _is_alive(process: psutil.Process) -> bool:
    try:
        # A zombie holds nothing any more: it waits for whoever inherited it to ask for its exit code.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def forget_ended() -> None:
    """Drops the processes that have ended: the next test's failure does not show their logs."""
    started[:] = [process for process in started if process.is_running]


@atexit.register
def kill_what_is_left() -> None:
    """For a test run that ends without tearing its fixtures down."""
    for process in started:
        process.kill_tree()
