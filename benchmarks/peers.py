"""Other durable-execution libraries: the same server, the same work, each in its own environment."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import ROOT, values
from benchmarks.figures import Figure

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Peer:
    """A library to stand beside.

    Attributes:
        name: its name, which is also the first part of its figures' names.
        packages: what its environment gets, versions pinned: the first one is the library.
    """

    name: str
    packages: tuple[str, ...]

    def python(self) -> str:
        """The interpreter that has it; makes its virtual environment the first time."""
        home = ROOT / "build" / f"bench-{self.name}"
        python = home / "bin" / "python"
        installed = home / ".installed"
        if not installed.exists() or installed.read_text() != str(self.packages):
            venv.create(home, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, *self.packages], check=True, stdout=sys.stderr)
            installed.write_text(str(self.packages))
        return str(python)

    def command(self, mode: str, url: str, count: int, rounds: int) -> list[str]:
        return [self.python(), str(HERE / f"{self.name}_child.py"), mode, url, str(count), str(rounds)]


DBOS = Peer("dbos", ("dbos==3.4.0", "psycopg[binary]"))
ABSURD = Peer("absurd", ("absurd-sdk==0.5.1", "absurdctl==0.5.1"))


@contextmanager
def second_process(peer: Peer, url: str) -> Iterator[None]:
    """A second process that runs queued workflows: what ``-c 2`` is to Celery."""
    command = peer.command("execute", url, 0, 0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.close()


def measure(peer: Peer, url: str, steps: int, workflows: int, fan_out: int, rounds: int) -> Iterator[Figure]:
    """Inline steps, replay and queue, each in a process of its own."""

    def child(mode: str, count: int) -> tuple[float, ...]:
        return values(peer.command(mode, url, count, rounds))

    def figure(what: str, unit: str, rounds: tuple[float, ...], note: str) -> Figure:
        return Figure(f"{peer.name}.{what}", "postgres", unit, rounds, f"{peer.packages[0]}, {note}")

    yield figure("inline", "steps/s", child("inline", steps), f"one workflow of {steps:,} steps")
    yield figure(f"replay.{steps}", "ms", child("replay", steps), f"{steps:,} recorded steps")
    yield figure("throughput", "workflows/s", child("drain", workflows), "its queue, one process")
    if peer is DBOS:
        note = f"{fan_out:,} children started and gathered, one process"
        yield figure(f"fan-out.{fan_out}", "ms", child("fan-out", fan_out), note)
    with second_process(peer, url):
        yield figure("throughput.2", "workflows/s", child("drain", workflows), "its queue, two processes")
