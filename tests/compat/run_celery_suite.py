"""Run Celery's own integration tests plain and with Aiki on their apps, and compare test by test.

    python -m tests.compat.run_celery_suite [--only plain|aiki] [--broker rabbitmq] [-- -k EXPR]

Exit status 1: a test that passes plain does not pass with Aiki.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness.rabbitmq import RabbitMQServer
from tests.harness.redis_server import RedisServer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "celery-suite"
CELERY = importlib.metadata.version("celery")
PASSED = {"passed", "xpassed"}
# One test of theirs takes two minutes when all is well.
TEST_TIMEOUT = 300

Outcomes = dict[str, str]


def unpack_suite() -> Path:
    """Folder with ``t/`` and its pytest settings, from the source distribution of the installed Celery.

    Celery's own code stays out: the suite is to import the installed one.
    """
    folder = BUILD / f"celery-{CELERY}"
    if folder.exists():
        return folder
    download = [*pip(sys.executable), "download", "--no-deps", "--no-binary", ":all:", "--dest", str(BUILD)]
    subprocess.run([*download, f"celery=={CELERY}"], check=True)
    (archive,) = BUILD.glob(f"celery-{CELERY}.tar.*")
    with tarfile.open(archive) as tar:
        wanted = (f"celery-{CELERY}/t/", f"celery-{CELERY}/pyproject.toml")
        members = [member for member in tar.getmembers() if member.name.startswith(wanted)]
        tar.extractall(BUILD, members, filter="data")
    return folder


def make_environment() -> Path:
    """Virtual environment with this package and what the suite needs; made once."""
    home = BUILD / f"venv-{CELERY}"
    installed = home / ".installed"
    if not installed.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [*pip(home / "bin" / "python"), "install", "--quiet"]
        wanted = [f"celery=={CELERY}", "-r", str(HERE / "requirements.txt"), "--editable", str(ROOT)]
        subprocess.run([*install, *wanted], check=True)
        installed.touch()
    return home


def pip(python: str | Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


class Share:
    """Every n-th test of one run of the suite, with a Redis, a journal and a session worker of its own.

    Args:
        name: Names its log, report and journal.
        home: The virtual environment to run in.
        suite: The unpacked suite.
        share: Which tests, as ``"0/3"``.
        with_aiki: Whether Aiki is installed on the suite's apps.
        broker: URL of the broker; None for the Redis that holds the results too.
    """

    def __init__(
        self, name: str, home: Path, suite: Path, share: str, *, with_aiki: bool, broker: str | None
    ) -> None:
        self.home = home
        self.suite = suite
        self.share = share
        self.broker = broker
        self.server = RedisServer("--appendonly", "no")
        self.report = BUILD / f"{name}.jsonl"
        self.log = BUILD / f"{name}.log"
        self.journal = BUILD / f"{name}.sqlite3" if with_aiki else None
        for left_over in BUILD.glob(f"{name}.*"):
            left_over.unlink()

    def start(self, arguments: list[str]) -> None:
        self.server.start()
        self.report.touch()
        command = [
            *(str(self.home / "bin" / "python"), "-m", "pytest", "t/integration"),
            *("-p", "celery_suite_plugin", "-p", "no:cacheprovider", "--timeout", str(TEST_TIMEOUT)),
            *arguments,
        ]
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command, cwd=self.suite, env=self.environment(), stdout=log, stderr=subprocess.STDOUT
            )

    def environment(self) -> dict[str, str]:
        found = {
            **os.environ,
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
            "TEST_BROKER": self.broker or self.server.url,
            "TEST_BACKEND": self.server.url,
            "C_FORCE_ROOT": "1",
            # As Celery's own tox.ini has it: some tests read the log.
            "WORKER_LOGLEVEL": "INFO",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.server.port),
            "CELERY_SUITE_REPORT": str(self.report),
            "CELERY_SUITE_SHARE": self.share,
        }
        if self.journal:
            found["CELERY_SUITE_JOURNAL"] = f"sqlite:///{self.journal}"
            found["APP"] = "celery_suite_app"
        return found

    def wait(self, deadline: float) -> Outcomes:
        """What became of each test; those that were not reached by the deadline are missing."""
        try:
            self.child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            # Its pool processes die with it.
            self.child.kill()
            self.child.wait()
        finally:
            self.server.remove()
        return {row["test"]: row["outcome"] for row in map(json.loads, self.report.open())}


def run_suite(name: str, options: argparse.Namespace, home: Path, suite: Path) -> Outcomes:
    """Run the whole suite once, in as many shares as there are jobs, and say how it went."""
    started = time.monotonic()
    with brokers(options.broker) as new_broker:
        shares = []
        for number in range(options.jobs):
            share = f"{number}/{options.jobs}"
            part = Share(
                f"{name}-{number}", home, suite, share, with_aiki=name.startswith("aiki"), broker=new_broker()
            )
            part.start(options.arguments)
            shares.append(part)
        outcomes: Outcomes = {}
        for part in shares:
            outcomes |= part.wait(started + options.limit)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items()))
    print(f"{name}: {len(outcomes)} tests in {time.monotonic() - started:.0f} s: {counts}", flush=True)
    return outcomes


@contextlib.contextmanager
def brokers(kind: str) -> Iterator[Callable[[], str | None]]:
    """Gives the URL of a broker that nobody has used; None is the Redis that every share has anyway."""
    if kind == "redis":
        yield lambda: None
        return
    server = RabbitMQServer()
    try:
        server.start()
        yield server.new_vhost
    finally:
        server.remove()


def verdict(outcomes: list[str | None]) -> str:
    """What became of a test over the repetitions; ``unsteady`` when that was not always the same."""
    kinds = {("passed" if outcome in PASSED else outcome) or "not run" for outcome in outcomes}
    return kinds.pop() if len(kinds) == 1 else "unsteady"


def compare(plain: list[Outcomes], aiki: list[Outcomes]) -> bool:
    """Print where the sides agree and differ; whether nothing that passes plain is worse with Aiki."""
    tests = sorted({test for outcomes in (*plain, *aiki) for test in outcomes})
    pairs = {
        test: (verdict([run.get(test) for run in plain]), verdict([run.get(test) for run in aiki]))
        for test in tests
    }
    differ = {test: pair for test, pair in pairs.items() if pair[0] != pair[1]}
    print(f"\n{'plain':<10}{'with Aiki':<10}{'tests':>6}")
    for pair, count in sorted(Counter(pairs.values()).items()):
        print(f"{pair[0]:<10}{pair[1]:<10}{count:>6}  {'agree' if pair[0] == pair[1] else 'DIFFER'}")
    print(f"\nagree {len(tests) - len(differ)}, differ {len(differ)}, of {len(tests)}")
    for test, pair in differ.items():
        print(f"  {pair[0]:<10}{pair[1]:<10}{test}")
    return not any(pair[0] == "passed" for pair in differ.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compat.run_celery_suite")
    parser.add_argument("--only", choices=("plain", "aiki"), help="run one side")
    parser.add_argument("--repeat", type=int, default=1, help="run each side so many times")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument(
        "--jobs", type=int, default=3, help="pytest processes side by side; the suite mostly waits"
    )
    parser.add_argument("--limit", type=float, default=1800, help="seconds after which a run is cut short")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="after --: passed to pytest, such as -k EXPR"
    )
    options = parser.parse_args()
    options.arguments = [argument for argument in options.arguments if argument != "--"]
    BUILD.mkdir(parents=True, exist_ok=True)
    suite, home = unpack_suite(), make_environment()
    runs: dict[str, list[Outcomes]] = {"plain": [], "aiki": []}
    for number in range(1, options.repeat + 1):
        for name in ("plain", "aiki") if options.only is None else (options.only,):
            runs[name].append(run_suite(f"{name}{number}", options, home, suite))
    if options.only:
        return 0
    return 0 if compare(runs["plain"], runs["aiki"]) else 1


if __name__ == "__main__":
    sys.exit(main())
