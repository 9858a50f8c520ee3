"""pytest-celery's `celery_setup`, unchanged, on local processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_celery import CeleryBackendCluster, CeleryTestBackend, CeleryTestBroker, CeleryTestSetup

from tests.harness.pytest_celery_nodes import RedisContainer, WorkerContainer, WorkerNode
from tests.harness.redis_server import RedisServer
from tests.harness.worker import WorkerProcess


@pytest.fixture
def celery_broker(redis_server: RedisServer, redis_url: str) -> Iterator[CeleryTestBroker]:
    """A database of the local Redis."""
    broker = CeleryTestBroker(RedisContainer(redis_server, redis_url))
    yield broker
    broker.teardown()


@pytest.fixture
def celery_backend(redis_server: RedisServer, redis_url: str) -> Iterator[CeleryTestBackend]:
    """The same one."""
    backend = CeleryTestBackend(RedisContainer(redis_server, redis_url))
    yield backend
    backend.teardown()


@pytest.fixture
def celery_worker(
    celery_setup_app: object, redis_url: str, start_worker: Callable[..., WorkerProcess]
) -> Iterator[WorkerNode]:
    """A worker of the plain app."""
    environment = {"CELERY_BROKER_URL": redis_url, "CELERY_RESULT_BACKEND": redis_url}
    worker = start_worker("tests.integration.plain_app", concurrency=1, env=environment)
    node = WorkerNode(WorkerContainer(worker), app=celery_setup_app)
    yield node
    node.teardown()


def add(setup: CeleryTestSetup, x: int, y: int) -> int:
    """Runs the plain app's task on the setup's worker."""
    return setup.app.send_task("tests.integration.plain_app.add", (x, y)).get(timeout=15)


def test_setup_runs_a_task(
    celery_setup: CeleryTestSetup, celery_backend_cluster: CeleryBackendCluster
) -> None:
    """Broker, backend and worker of the setup are ready and do a task."""
    assert celery_setup.ready(control=True)
    assert 3 == len(celery_setup)
    assert 5 == add(celery_setup, 2, 3)
    assert celery_backend_cluster is celery_setup.backend_cluster


def test_setup_worker_can_be_killed_and_restarted(celery_setup: CeleryTestSetup) -> None:
    """The node's own `kill` and `restart` work on the process, and its log is seen."""
    worker = celery_setup.worker
    assert 2 == len(worker.get_running_processes_info(["pid"]))
    worker.kill()
    assert "exited" == worker.container.status
    worker.restart()
    worker.assert_log_exists("ready.")
    assert 5 == add(celery_setup, 2, 3)
