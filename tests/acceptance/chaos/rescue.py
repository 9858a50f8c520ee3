"""Runs that are interrupted in the middle of their held step, and how soon they go on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from tests.harness.worker import WorkerProcess
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import journey

measured: defaultdict[str, list[float]] = defaultdict(list)


@dataclass
class Traveller:
    """A run of `journey` in its held step: `pid` is the process that is at it."""

    key: str
    handle: Any
    pid: int


def travellers(deployment: Deployment) -> list[Traveller]:
    """Two runs in their held step, one started journal-first and one message-first."""
    keys = [new_key("enqueued"), new_key("delayed")]
    handles = [journey.enqueue(keys[0]), journey.handle(journey.delay(keys[1]).id)]
    return [
        Traveller(key, handle, deployment.await_step(key)["pid"])
        for key, handle in zip(keys, handles, strict=True)
    ]


def belongs_to(worker: WorkerProcess, pid: int) -> bool:
    """Whether a process is a worker or one of its pool."""
    return pid == worker.pid or pid in {child.pid for child in worker.children()}


def interrupt(
    deployment: Deployment, runs: list[Traveller], fault: Callable[[], object], what: str, within: float
) -> None:
    """Injects the fault; every run goes on from its held step, in time, and ends as if nothing had been."""
    began = time.time()
    fault()
    for run in runs:
        assert not _is_at_it(run), f"{run.pid} survived: the fault was not injected"
    for run in runs:
        again = deployment.await_step(run.key, times=2, timeout=within + 30)
        measured[what].append(again["at"] - began)
    for run in runs:
        deployment.open_gate(run.key)
    for run in runs:
        assert ["first", "last"] == run.handle.get(timeout=20)
        assert ["first", "hold", "hold", "last"] == deployment.steps(run.key)
        assert 1 == deployment.effects.count("held", key=run.key)
        assert any("recovered" in line.reason for line in run.handle.history())
    slowest = max(measured[what][-len(runs) :])
    assert slowest <= within, f"{what}: recovered after {slowest:.1f} s, not within {within:g} s"


def _is_at_it(run: Traveller) -> bool:
    try:
        return psutil.Process(run.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
