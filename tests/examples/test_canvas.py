"""The durable chord of the examples does what its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_canvas_demonstration_binds_once() -> None:
    """A worker is killed while the header is under way; what had finished is not done again, and the body runs once."""
    told = subprocess.run(
        [sys.executable, "-m", "examples.canvas"], cwd=REPOSITORY, capture_output=True, text=True, timeout=110
    )
    assert 0 == told.returncode, told.stdout + told.stderr
    assert "cat.small + dog.small + emu.small" in told.stdout
    assert "bind: 1\nresize cat: 1\nresize dog: 2\nresize emu: 1" in told.stdout
