"""One part of the suite: a test file, or every n-th test of a long one, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.suite_source import BUILD, HERE
from tests.harness.child_process import ChildProcess
from tests.harness.redis_server import RedisServer

# One test of theirs takes two minutes when all is well.
TEST_TIMEOUT_SECONDS = 300
PART_TIMEOUT_SECONDS = 900
# Files whose tests are dealt out to several processes.
SHARES = {"test_canvas.py": 4, "test_tasks.py": 2}

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """What one process runs; it has a Redis, a journal and a session worker of its own.

    Attributes:
        file: Name of the test file.
        share: Which of the file's tests, as ``"0/3"``.
    """

    file: str
    share: str

    def run(self, side: str, home: Path, suite: Path, broker: str | None, arguments: Sequence[str]) -> Rows:
        """Run it, and return one row for each test that came to an end.

        Args:
            side: ``plain1``, ``aiki2``, ...: whether Aiki is installed on the suite's apps, and which repetition.
            home: The virtual environment.
            suite: The unpacked suite.
            broker: URL of the broker; None for the Redis that holds the results too.
            arguments: More arguments for pytest.
        """
        stem = BUILD / side / f"{self.file.removesuffix('.py')}-{self.share[0]}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        for left_over in stem.parent.glob(f"{stem.name}.*"):
            left_over.unlink()
        report = stem.with_suffix(".jsonl")
        report.touch()
        command = [
            *(home / "bin" / "python", "-m", "pytest", f"t/integration/{self.file}"),
            *("-p", "celery_suite_plugin", "-p", "no:cacheprovider", "--timeout", str(TEST_TIMEOUT_SECONDS)),
            *arguments,
        ]
        server = RedisServer("--appendonly", "no")
        try:
            server.start()
            env = environment(home, server, broker) | {
                "CELERY_SUITE_REPORT": str(report),
                "CELERY_SUITE_SHARE": self.share,
            }
            if side.startswith("aiki"):
                env |= {"CELERY_SUITE_JOURNAL": f"sqlite:///{stem}.sqlite3", "APP": "celery_suite_app"}
            process = ChildProcess(stem.name, command, log_path=stem.with_suffix(".log"), env=env, cwd=suite)
            process.start()
            with contextlib.suppress(AssertionError):
                process.wait(PART_TIMEOUT_SECONDS)
            process.kill_tree()
        finally:
            server.remove()
        return [json.loads(line) for line in report.read_text().splitlines()]


def environment(home: Path, server: RedisServer, broker: str | None) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(HERE),
        "TEST_BROKER": broker or server.url,
        "TEST_BACKEND": server.url,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(server.port),
        # As Celery's own tox.ini has it: some tests read the log.
        "WORKER_LOGLEVEL": "INFO",
        # One test's worker takes pickle, which Celery refuses root.
        "C_FORCE_ROOT": "1",
    }


def parts_of(suite: Path) -> list[Part]:
    """All parts, the long ones first."""
    files = sorted(path.name for path in (suite / "t" / "integration").glob("test_*.py"))
    files.sort(key=lambda file: (file not in SHARES, "leak" not in file))
    return [
        Part(file, f"{number}/{SHARES.get(file, 1)}")
        for file in files
        for number in range(SHARES.get(file, 1))
    ]
