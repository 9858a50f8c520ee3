"""One Redis and PostgreSQL deployment with one worker serves most of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.harness.postgres import PostgresServer
from tests.harness.redis_server import RedisServer
from tests.integration.celery.deployment import CALM, Deployment, deployed, new_key


@pytest.fixture(scope="session")
def redis_shop(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Redis carries messages and results, PostgreSQL the journal; not current, as tests elsewhere come in between."""
    url = redis_server.new_database()
    folder = tmp_path_factory.mktemp("redis-shop")
    with closing(Deployment(folder, postgres.new_database(), url, backend=url, **CALM)) as deployment:
        deployment.worker(args=("--queues", "celery,express"))
        yield deployment


@pytest.fixture
def shop(redis_shop: Deployment) -> Iterator[Deployment]:
    """The shared deployment, current in this test."""
    with redis_shop.aiki:
        yield redis_shop


@pytest.fixture
def embedded(tmp_path, sqlite_url: str) -> Iterator[Deployment]:
    """A journal file that is the broker too; no result backend; no worker yet."""
    with deployed(tmp_path, sqlite_url, None, **CALM) as deployment:
        yield deployment


@pytest.fixture
def key() -> str:
    """Tells this test's effects from those of others."""
    return new_key()
