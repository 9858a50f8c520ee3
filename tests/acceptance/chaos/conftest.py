"""Where the faults happen, and how long recovery took."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.chaos.rescue import measured
from tests.integration.celery.deployment import QUICK, Deployment, deployed, new_key

MAKE = {
    "embedded+sqlite": ("sqlite_url", None),
    "redis+postgres": ("postgres_url", "redis_url"),
    "rabbitmq+postgres": ("postgres_url", "rabbitmq_url"),
}


@pytest.fixture
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """`deploy("redis+postgres", conf={...}, worker_ttl=3)`: current until the test ends, and gone then."""
    with ExitStack() as stack:

        def make(ground: str, **options: Any) -> Deployment:
            journal, broker = MAKE[ground]
            broker_url = request.getfixturevalue(broker) if broker else None
            backend = broker_url if broker == "redis_url" else None
            journal_url = request.getfixturevalue(journal)
            chosen = {"backend": backend, **QUICK, **options}
            return stack.enter_context(deployed(tmp_path, journal_url, broker_url, **chosen))

        yield make


@pytest.fixture
def key() -> str:
    """Tells this test's effects from those of others."""
    return new_key()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the recovery times that the tests measured."""
    for what, seconds in sorted(measured.items()):
        p50, most = statistics.median(seconds), max(seconds)
        terminalreporter.write_line(f"recovery {what:<45} n={len(seconds)} p50={p50:.2f} s max={most:.2f} s")
