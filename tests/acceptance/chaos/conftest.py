"""Where the faults happen, and how long recovery took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.chaos.rescue import measured
from tests.conftest import RECOVERY
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


@pytest.fixture(autouse=True)
def told_times(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hands what the test has measured to its report: `tests/conftest.py` prints it, maybe in another process."""
    measured.clear()
    yield
    request.node.user_properties += [(RECOVERY, [what, *seconds]) for what, seconds in measured.items()]
