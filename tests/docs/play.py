"""Plays a page: does what a reader would do who types everything in, from top to bottom."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.docs.pages import REPOSITORY, Block, blocks_of
from tests.harness.worker import WorkerProcess

#: A fault's consequences come within seconds.
QUICK = {"AIKI_HEARTBEAT_INTERVAL": "0.5", "AIKI_WORKER_TTL": "2", "AIKI_POLL_INTERVAL": "0.2"}

#: Longest time one script may take, in seconds.
PATIENCE = 60

ENTRY_POINT = "[celery.commands]\naiki = aiki_celery.cli:aiki\n"


class Play:
    """One page and the folder it is played in.

    Args:
        page: The page.
        folder: An empty folder.
        start_worker: The fixture of that name.
        env: Where servers are, for pages that ask.
    """

    def __init__(
        self,
        page: Path,
        folder: Path,
        start_worker: Callable[..., WorkerProcess],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._page = page
        self._folder = folder
        self._start_worker = start_worker
        paths = [folder, REPOSITORY]
        if not importlib.metadata.entry_points(group="celery.commands", name="aiki"):
            paths.append(_entry_point(folder / "entry-point"))
        path = os.pathsep.join(str(part) for part in paths)
        self._env = {**QUICK, **(env or {}), "PYTHONPATH": path}
        self._worker: WorkerProcess | None = None
        self._printed = ""
        self._scripts = 0

    def run(self) -> None:
        """Play it."""
        blocks = [block for block in blocks_of(self._page) if block.is_run]
        module = next((block for block in blocks if block.language == "python"), None)
        if module is None:
            return
        (self._folder / "shop.py").write_text(module.content)
        self._python("-c", "import shop", where=module)
        if all(block is module for block in blocks if block.language == "python"):
            return
        for block in blocks[blocks.index(module) + 1 :]:
            if block.language == "python":
                self._script(block)
            elif block.language == "console":
                self._console(block)
            elif block.language == "text":
                self._compare(block)

    def _script(self, block: Block) -> None:
        self._work()
        self._scripts += 1
        script = self._folder / f"script_{self._scripts}.py"
        script.write_text(f"from shop import *\n{block.content}")
        if "\ndef test_" in script.read_text():
            self._python("-m", "pytest", "-q", "-p", "no:cacheprovider", script.name, where=block)
        else:
            self._printed = self._python(script.name, where=block)

    def _console(self, block: Block) -> None:
        for line in block.content.splitlines():
            command = line.removeprefix("$ ").partition("#")[0].strip()
            if command.startswith("celery -A shop worker"):
                self._work(shlex.split(command))
            elif command == "kill -9 $(cat worker.pid)":
                assert self._worker is not None
                os.kill(int((self._folder / "worker.pid").read_text()), 9)
                self._worker.process.wait(10)
            elif command.startswith("celery -A shop aiki"):
                asked = command.replace("<run id>", self._newest_run() if "<run id>" in command else "")
                self._printed = self._python("-m", *shlex.split(asked), where=block)

    def _compare(self, block: Block) -> None:
        """The page shows what was printed, ``...`` standing for anything."""
        pattern = re.escape(block.content.strip()).replace(re.escape("..."), ".*?")
        assert re.fullmatch(pattern, self._printed.strip(), re.DOTALL), (
            f"{self._page}:{block.line} shows\n{block.content}\nbut it is\n{self._printed}"
        )

    def _work(self, command: Sequence[str] = ()) -> None:
        if self._worker is None or not self._worker.is_running:
            queues = command[command.index("--queues") + 1].split(",") if "--queues" in command else ()
            self._worker = self._start_worker(
                "shop", cwd=self._folder, env=self._env, queues=queues, args=("--pidfile", "worker.pid")
            )

    def _newest_run(self) -> str:
        listed = self._python("-m", "celery", "-A", "shop", "aiki", "run", "list", "--json", "--limit", "1")
        return str(json.loads(listed)["id"])

    def _python(self, *arguments: str, where: Block | None = None) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env={**os.environ, **self._env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        place = f"{self._page}:{where.line}" if where else "asking for the newest run"
        assert done.returncode == 0, f"{place}: {shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _entry_point(folder: Path) -> Path:
    """What installing the package would do: tell Celery of its command."""
    info = folder / "aiki_celery-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aiki-celery\nVersion: 0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    return folder


def console_commands(page: Path, beginning: str) -> Sequence[str]:
    """The commands of a page's console blocks that begin so."""
    lines = (
        line.removeprefix("$ ").partition("#")[0].strip()
        for block in blocks_of(page)
        if block.language == "console" and block.is_run
        for line in block.content.splitlines()
    )
    return [line for line in lines if line.startswith(beginning)]
