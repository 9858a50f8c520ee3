"""The worker's bootstep: says that the worker is alive, drives the sweeps, lets runs go when the worker ends."""

from __future__ import annotations

import atexit
import gc
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from celery import bootsteps, signals
from celery.concurrency import prefork
from celery.worker import state

from aiki_celery.celery_binding.binding import Binding, known_definitions
from aiki_celery.celery_binding.caretaker import Caretaker
from aiki_celery.celery_binding.heartbeat import Heartbeat
from aiki_celery.celery_binding.message import is_ours, kind_of_task
from aiki_celery.celery_binding.pool_watch import PoolWatch
from aiki_celery.celery_binding.request import WorkflowRequest

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
        """Share memory with the processes that the pool is about to fork, and wrap its soft shutdown."""
        if issubclass(worker.pool_cls, prefork.TaskPool):
            _share_memory()
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
        plans = binding.plans()
        info = {
            "definitions": list(known_definitions()),
            "schedules": {name: plan.fingerprint if plan else "" for name, plan in plans.items()},
            "queues": sorted(worker.app.amqp.queues.consume_from),
            "pool": type(worker.pool).__module__.rpartition(".")[2],
            "concurrency": worker.concurrency,
        }
        self._heartbeat = Heartbeat(
            binding.journal, worker_id, worker.hostname, binding.settings.heartbeat_interval, json.dumps(info)
        )
        self._heartbeat.start()
        atexit.register(self._end)
        heartbeat = self._heartbeat
        self._caretaker = Caretaker(
            # As they were told above: one that cannot be used is logged once.
            replace(binding.sweep_context(), plans=lambda: plans),
            worker_id,
            binding.caretaker_notes,
            _watch(worker),
            _held_runs,
            lambda: heartbeat.is_steady,
        )
        self._caretaker.start()
        signals.worker_shutting_down.connect(self._on_shutting_down, weak=False)
        worker.blueprint.on_stopped = self._ending_after(worker.blueprint.on_stopped)
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
                if isinstance(request, WorkflowRequest) and request.acknowledged:
                    _interrupt(request, worker.pool)

        return drain_and_wait

    def _on_shutting_down(self, **_: Any) -> None:
        self._drain()

    def _ending_after(self, stopped: Callable[[], None] | None) -> Callable[[], None]:
        """End once everything has stopped, also in a cold shutdown: no signal of Celery's tells of that."""

        def stop_and_end() -> None:
            try:
                if stopped is not None:
                    stopped()
            finally:
                self._end()

        return stop_and_end

    def _end(self) -> None:
        """End what was started. Does nothing the second time: another worker may have begun here since."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is None:
            return
        if self._caretaker is not None:
            self._caretaker.end()
        heartbeat.end()
        self.binding.process.leave_worker()
        signals.worker_shutting_down.disconnect(self._on_shutting_down)
        atexit.unregister(self._end)
        gc.unfreeze()


def worker_step_for(binding: Binding) -> type[WorkerStep]:
    """Make the bootstep of one application."""
    return type("AikiWorkerStep", (WorkerStep,), {"binding": binding, "name": "aiki_celery.worker"})


def _share_memory() -> None:
    """Before the pool's processes are forked: take what is loaded out of the garbage collector's sight.

    A collection writes to every object that it looks at, and each process would soon have a copy of all modules. It
    is also quicker without them: a replay of a thousand steps is not held up for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


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
