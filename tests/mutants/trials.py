"""Runs the tests that must notice a mutant: once as they are, and once with the safeguard off."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutations import MUTANT_ENV

REPOSITORY = Path(__file__).resolve().parents[2]

#: pytest's exit code when tests ran and some failed; anything else than this and 0 is a broken trial.
FAILED = 1

#: For each mutant, the tests that must notice it.
SUBSETS: dict[str, tuple[str, ...]] = {
    "fencing": ("tests/contract/test_fencing.py", "-k", "sqlite"),
    "write-once": ("tests/contract/test_passes.py", "-k", "sqlite and taken_by_another"),
    "redelivery": (
        "tests/crash/test_crash_points.py",
        "-k",
        "sqlite and (RunEnqueued or RunPublished)",
    ),
    # SQLite has one writer at a time: there, nothing is lost without the lock.
    "count-off-lock": ("tests/contract/test_family_races.py", "-k", "postgres and while_the_parent_parks"),
    "lane-release": ("tests/contract/test_started_steps.py", "-k", "map_runs_no_more"),
    "heartbeat": ("tests/contract/test_family_fencing.py", "-k", "sqlite and heartbeat"),
    "input-hash": (
        "tests/acceptance/lessons/test_l34_changed_places.py",
        "tests/acceptance/lessons/test_l08_distinct_inputs.py",
    ),
}


@dataclass(frozen=True)
class Trial:
    """How one run of a subset ended."""

    mutant: str
    mutated: bool
    code: int
    passed: int
    failed: int
    seconds: float
    output: str

    @property
    def noticed(self) -> bool:
        """Whether tests ran and some of them failed."""
        return self.code == FAILED and self.failed > 0

    @property
    def is_green(self) -> bool:
        """Whether tests ran and all of them passed."""
        return self.code == 0 and self.passed > 0


def run_trial(mutant: str, *, mutated: bool) -> Trial:
    """Runs a mutant's subset in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment.pop(MUTANT_ENV, None)
    if mutated:
        environment[MUTANT_ENV] = mutant
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutants.mutations",
    ]
    began = time.monotonic()
    ended = subprocess.run(
        [*command, *SUBSETS[mutant]],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    counted = dict(
        reversed(pair)
        for pair in re.findall(r"(\d+) (passed|failed|error)", ended.stdout.rpartition("\n=")[2])
    )
    return Trial(
        mutant,
        mutated,
        ended.returncode,
        int(counted.get("passed", 0)),
        int(counted.get("failed", 0)) + int(counted.get("error", 0)),
        seconds,
        ended.stdout + ended.stderr,
    )
