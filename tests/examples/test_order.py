"""The demonstration is what a newcomer sees first: it must do what it says, in a log without colours as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_order_demonstration_survives_its_kill() -> None:
    """A worker is killed in the middle of a step, another goes on, and each step takes effect exactly once."""
    told = subprocess.run(
        [sys.executable, "-m", "examples.order"], cwd=REPOSITORY, capture_output=True, text=True, timeout=110
    )
    assert 0 == told.returncode, told.stdout + told.stderr
    lines = [line.split(None, 2)[2:] for line in told.stdout.splitlines() if " s  " in line]
    told_by = ["".join(rest) for rest in lines]
    assert any("KILLED with kill -9, in the middle of pack-parcel" in line for line in told_by)
    assert any("charge-card" in line and "replayed from the journal" in line for line in told_by)
    assert "\033[" not in told.stdout
    assert told.stdout.rstrip().endswith("Each step took effect exactly once.")
