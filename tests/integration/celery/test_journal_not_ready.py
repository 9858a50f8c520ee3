"""A worker whose journal cannot be used says so and does not start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aiki_celery import SchemaMissing
from tests.harness.child_process import ChildProcess
from tests.integration.celery.deployment import APP, CALM, deployed
from tests.integration.celery.flows import add


def test_worker_refuses_to_start_without_the_schema(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    """On a server database the tables are never made by the way; the error names the command."""
    with deployed(tmp_path, postgres_url, redis_url, upgrade=False, **CALM) as deployment:
        with pytest.raises(SchemaMissing, match="aiki db upgrade"):
            add.enqueue(1, 2)
        worker = ChildProcess(
            "worker without schema",
            [sys.executable, "-m", "celery", "-A", APP, "worker", "-c", "1", "--without-mingle"],
            log_path=tmp_path / "worker.log",
            env={**os.environ, **deployment.env, "PYTHONUNBUFFERED": "1"},
        )
        try:
            worker.start()
            assert 0 != worker.wait(20)
            assert "aiki db upgrade" in worker.log()
            assert "ready." not in worker.log()
        finally:
            worker.kill_tree()
        deployment.aiki.upgrade_journal()
        deployment.worker()
        assert 3 == add.enqueue(1, 2).get(timeout=20)
