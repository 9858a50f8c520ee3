"""A broker, a journal, the workers on them, and a client in this process."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from aiki_celery import Aiki, RunStatus
from tests.harness.effects import EFFECTS_ENV, Effects
from tests.harness.eventually import eventually
from tests.harness.worker import WorkerProcess

APP = "tests.integration.celery.durable_app"

#: Messages alone carry these tests: nothing is published again while they last.
CALM = {"heartbeat_interval": 0.5, "worker_ttl": 5.0, "poll_interval": 0.1, "redelivery_after": 120.0}

#: Everything a fault sets off happens within seconds.
QUICK = {"heartbeat_interval": 0.5, "worker_ttl": 2.0, "poll_interval": 0.2, "redelivery_after": 1.0}


class Deployment:
    """What a user of this package has running.

    Args:
        folder: For effects and logs.
        journal: URL of the journal's database.
        broker: URL of the broker; on a SQLite journal None means the embedded one.
        backend: URL of the result backend, if there is one.
        conf: Celery settings of client and workers.
        upgrade: Whether to make the journal's tables.
        **timings: Aiki's settings of client and workers.
    """

    def __init__(
        self,
        folder: Path,
        journal: str,
        broker: str | None,
        backend: str | None = None,
        conf: Mapping[str, Any] | None = None,
        upgrade: bool = True,
        **timings: float,
    ) -> None:
        self.folder, self.journal, self.broker, self.backend = folder, journal, broker, backend
        self.conf, self.timings = dict(conf or {}), timings
        self.effects = Effects(folder / "effects.jsonl")
        self.workers: list[WorkerProcess] = []
        self.client = self.new_client()
        self.aiki = Aiki(self.client, journal=journal, **timings)
        if upgrade:
            self.aiki.upgrade_journal()

    def new_client(self) -> Celery:
        """A producer that knows nothing of Aiki."""
        client = Celery("client", broker=self.broker, backend=self.backend, set_as_current=False)
        client.conf.update(self.conf)
        return client

    @property
    def env(self) -> dict[str, str]:
        """What a worker is told."""
        env = {f"AIKI_{name.upper()}": str(value) for name, value in self.timings.items()}
        env |= {"AIKI_JOURNAL": self.journal, "TEST_APP_CONF": json.dumps(self.conf)}
        env |= {"CELERY_BROKER_URL": self.broker or "", "CELERY_RESULT_BACKEND": self.backend or ""}
        return {**{key: value for key, value in env.items() if value}, EFFECTS_ENV: str(self.effects.path)}

    def worker(self, pool: str = "prefork", concurrency: int = 2, **options: Any) -> WorkerProcess:
        """Starts a worker; it ends with the deployment."""
        log = self.folder / f"worker-{len(self.workers) + 1}.log"
        env = {**self.env, **options.pop("env", {})}
        app = options.pop("app", APP)
        worker = WorkerProcess(app, pool=pool, concurrency=concurrency, env=env, log_path=log, **options)
        self.workers.append(worker)
        return worker.start()

    def close(self) -> None:
        """Ends the workers and the client."""
        for worker in self.workers:
            worker.close()
        self.aiki.close()
        self.client.close()

    def task(self, name: str) -> Any:
        """A task as this client sends it."""
        return self.client.tasks[name]

    def steps(self, key: str) -> list[str]:
        """The steps that began, in order."""
        return [effect["step"] for effect in self.effects.all("step", key=key)]

    def await_step(
        self, key: str, step: str = "hold", times: int = 1, timeout: float = 20.0
    ) -> dict[str, Any]:
        """Waits until a step has begun so many times, and gives that effect."""
        found = eventually(
            lambda: self.effects.all("step", key=key, step=step)[times - 1 :],
            timeout,
            f"step {step!r} of {key} to begin, {times} time(s)",
            interval=0.02,
        )
        return found[0]

    def depth(self, queue: str = "celery") -> int:
        """How many messages wait in a queue of the broker."""
        with self.client.connection_for_read() as connection:
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                return 0  # Redis has no empty lists

    def open_gate(self, key: str) -> None:
        """Lets the held step of this key end, now and ever after."""
        self.effects.record("gate", key=key)

    def await_status(self, handle: Any, *statuses: RunStatus, timeout: float = 20.0) -> RunStatus:
        """Waits until a run is in one of these states."""
        return eventually(
            lambda: status if (status := handle.status) in statuses else None,
            timeout,
            f"run {handle.id} to be {' or '.join(statuses)} (it is {handle.status})",
        )


@contextmanager
def deployed(folder: Path, journal: str, broker: str | None, **options: Any) -> Iterator[Deployment]:
    """A deployment that is current inside and gone after."""
    deployment = Deployment(folder, journal, broker, **options)
    try:
        with deployment.aiki:
            yield deployment
    finally:
        deployment.close()


def new_key(prefix: str = "key") -> str:
    """A key no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}-{time.time_ns() % 1000}"
