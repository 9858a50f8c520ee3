"""The worker's bootstep: says that the worker is alive, drives the sweeps, lets runs go when the worker ends."""

from __future__ import annotations

import atexit
import json
import logging
from collections.abc import Iterable
from typing import Any

from celery import bootsteps, signals
from celery.worker import state

from aiki_celery.celery_binding.binding import Binding, known_definitions
from aiki_celery.celery_binding.caretaker import Caretaker
from aiki_celery.celery_binding.heartbeat import Heartbeat
from aiki_celery.celery_binding.message import is_ours, kind_of_task
from aiki_celery.celery_binding.pool_watch import PoolWatch
from aiki_celery.celery_binding.tasks import WorkflowTask

logger = logging.getLogger("aiki_celery.worker")


class WorkerStep(bootsteps.StartStopStep):
    """Starts once, after the pool, and survives reconnects to the broker.

    Its own ``stop`` only lets go of runs: the heartbeat has to go on while the pool finishes what it is at. It ends
    with the worker.
    """

    requires = ("celery.worker.components:Pool",)

    #: The application and its journal; set by :func:`worker_step_for`.
    binding: Binding

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._heartbeat: Heartbeat | None = None
        self._caretaker: Caretaker | None = None

    def create(self, worker: Any) -> None:
        """Take the worker's identity before the pool makes its processes, and wrap its soft shutdown."""
        wait = getattr(worker, "wait_for_soft_shutdown", None)
        if wait is not None:
            worker.wait_for_soft_shutdown = self._draining_first(worker, wait)

    def start(self, worker: Any) -> None:
        """Begin to beat and to sweep.

        Raises:
            JournalError: The journal cannot be used; the worker does not start, and says why.
        """
        binding, worker_id = self.binding, self.binding.process.worker_id
        assert worker_id is not None, "the worker took its identity when it was initialized"
        info = {
            "definitions": list(known_definitions()),
            "queues": sorted(worker.app.amqp.queues.consume_from),
            "pool": type(worker.pool).__module__.rpartition(".")[2],
            "concurrency": worker.concurrency,
        }
        self._heartbeat = Heartbeat(
            binding.journal, worker_id, worker.hostname, binding.settings.heartbeat_interval, json.dumps(info)
        )
        self._heartbeat.start()
        self._caretaker = Caretaker(
            binding.sweep_context(), worker_id, binding.caretaker_notes, _watch(worker), _held_runs
        )
        self._caretaker.start()
        signals.worker_shutting_down.connect(self._on_shutting_down, weak=False)
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)
        atexit.register(self._end)
        logger.info("aiki: worker %s, journal %s", worker_id, binding.journal.connections.shown_url)

    def stop(self, worker: Any) -> None:
        """Let runs go at their next step."""
        self._drain()

    def terminate(self, worker: Any) -> None:
        """Let runs go: the pool is ended next."""
        self._drain()

    def info(self, worker: Any) -> dict[str, Any]:
        """What ``celery inspect stats`` shows."""
        return {"aiki": {"worker": self.binding.process.worker_id, "definitions": list(known_definitions())}}

    def _drain(self) -> None:
        self.binding.process.drain.raise_it()
        if self._caretaker is not None:
            self._caretaker.drain()

    def _draining_first(self, worker: Any, wait: Any) -> Any:
        """Drain while a cold shutdown grants its grace, and then end what is left.

        Celery itself cancels only what was not acknowledged, and would wait for the rest.
        """

        def drain_and_wait(*args: Any, **kwargs: Any) -> None:
            self._drain()
            wait(*args, **kwargs)
            for request in list(state.active_requests):
                if isinstance(request.task, WorkflowTask) and request.acknowledged:
                    _interrupt(request, worker.pool)

        return drain_and_wait

    def _on_shutting_down(self, **_: Any) -> None:
        self._drain()

    def _on_shutdown(self, **_: Any) -> None:
        self._end()

    def _end(self) -> None:
        if self._caretaker is not None:
            self._caretaker.end()
        if self._heartbeat is not None:
            self._heartbeat.end()
        self.binding.process.leave_worker()


def worker_step_for(binding: Binding) -> type[WorkerStep]:
    """Make the bootstep of one application."""
    return type("AikiWorkerStep", (WorkerStep,), {"binding": binding, "name": "aiki_celery.worker"})


def _watch(worker: Any) -> PoolWatch | None:
    if not hasattr(getattr(worker.pool, "_pool", None), "_pool"):
        return None
    hub = getattr(worker, "hub", None)

    def processes() -> list[int]:
        # The pool itself is gone once the worker has stopped it.
        pool = getattr(worker.pool, "_pool", None)
        return [process.pid for process in list(pool._pool)] if pool is not None else []

    def collect() -> None:
        if hub is not None:
            hub.call_soon(worker.pool._pool.maintain_pool)

    return PoolWatch(processes, collect)


def _interrupt(request: Any, pool: Any) -> None:
    try:
        request.interrupt(pool)
    except NotImplementedError:
        logger.info("Run %s: this pool cannot end it; the worker waits for its step.", request.id)


def _held_runs() -> Iterable[str]:
    """Give the runs whose messages this worker is working on."""
    for requests in (state.active_requests, state.reserved_requests):
        for request in list(requests):
            if kind_of_task(request.task) is not None or is_ours(request.request_dict):
                yield request.id
