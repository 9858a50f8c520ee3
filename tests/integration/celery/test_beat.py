"""Celery's own beat starts workflows by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.harness.child_process import ChildProcess
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import APP, CALM, deployed, new_key


@pytest.mark.parametrize("how", ["beat", "worker -B"])
def test_beat_starts_a_run_each_time(tmp_path: Path, sqlite_url: str, how: str) -> None:
    """Every entry of the schedule makes a run of its own, on the embedded broker too."""
    key = new_key()
    entry = {"task": "naps", "schedule": 0.4, "args": [key, 1, 0.0]}
    conf = {"beat_schedule": {"often": entry}, "beat_max_loop_interval": 0.2}
    schedule = tmp_path / "beat-schedule"
    with deployed(tmp_path, sqlite_url, None, conf=conf, **CALM) as deployment:
        worker = deployment.worker(args=("-B", "-s", schedule) if how == "worker -B" else ())
        beat = ChildProcess(
            "beat",
            [sys.executable, "-m", "celery", "-A", APP, "beat", "-s", schedule],
            log_path=tmp_path / "beat.log",
            env={**worker.process.env},
            cwd=worker.process.cwd,
        )
        try:
            if how == "beat":
                beat.start()
            eventually(lambda: deployment.effects.count("step", key=key) >= 3, 20, "three runs")
        finally:
            beat.kill_tree()
