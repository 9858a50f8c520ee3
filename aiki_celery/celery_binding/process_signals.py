"""Celery's signals: when a process becomes a worker's, and when a worker gets a message it has no task for."""

from __future__ import annotations

import gc
import logging
import threading
from typing import Any

from celery import signals
from celery.exceptions import NotRegistered

from aiki_celery.celery_binding.adopted.settling import settle
from aiki_celery.celery_binding.adopted.tracing import wrap_tracers
from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.message import is_adopted, is_foreign, is_journal_first, is_ours
from aiki_celery.engine.failures import write_failure
from aiki_celery.model.status import RunStatus

logger = logging.getLogger("aiki_celery.worker")


def connect(binding: Binding) -> None:
    """Listen to the signals of one application's workers."""
    app = binding.app

    def on_worker_init(sender: Any = None, **_: Any) -> None:
        if sender is not None and sender.app is app:
            binding.process.become_worker(sender.hostname)
            _share_memory()

    def on_process_init(**_: Any) -> None:
        binding.process.join_worker()
        wrap_tracers(binding)

    def on_task_unknown(
        sender: Any = None, message: Any = None, name: str = "", id: str = "", **_: Any
    ) -> None:
        if sender is not None and sender.app is app and is_ours(message.headers):
            # Not on the event loop: this waits for the database and the broker.
            threading.Thread(target=_pass_on, args=(binding, message, name, id), daemon=True).start()

    signals.worker_init.connect(on_worker_init, weak=False)
    signals.worker_process_init.connect(on_process_init, weak=False)
    signals.task_unknown.connect(on_task_unknown, weak=False)


def _share_memory() -> None:
    """Before the pool's processes are forked: take what is loaded out of the garbage collector's sight.

    A collection writes to every object that it looks at, and each process would soon have a copy of all modules. It
    is also quicker without them: a replay of a thousand steps is not held up for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


def _pass_on(binding: Binding, message: Any, name: str, run_id: str) -> None:
    """Hand on a run whose message came to a worker that does not know its workflow, as in a rolling deploy."""
    try:
        if is_foreign(message.headers):
            why = f"it came to a worker that has no task {name!r}: route it to a queue of the service that has it"
            settle(binding, run_id, RunStatus.FAILED, error=write_failure(NotRegistered(why), 1), why=why)
            return
        if is_journal_first(message.headers) or is_adopted(message.headers):
            # A worker that has the workflow finds it in the journal within a poll interval.
            binding.journal.timers.mark_unpublished([run_id])
            logger.warning("Run %s of %s: this worker does not have it; left for one that has.", run_id, name)
            return
        args, kwargs, embedded = message.payload
        headers = {key: value for key, value in message.headers.items() if key in _RESENT}
        headers |= {"aiki": message.headers["aiki"]}
        options = {
            _OPTIONS[key]: value for key, value in (embedded or {}).items() if value and key in _OPTIONS
        }
        options |= {
            _OPTIONS[key]: message.headers[key]
            for key in _HEADER_OPTIONS
            if message.headers.get(key) is not None
        }
        delivered = message.delivery_info or {}
        # Gives a worker that has the workflow time to take it before it comes back to this one.
        binding.app.send_task(
            name,
            args,
            kwargs,
            task_id=run_id,
            queue=delivered.get("routing_key") or None,
            headers=headers,
            countdown=1,
            add_to_parent=False,
            **options,
        )
        logger.warning("Run %s of %s: this worker does not have it; its message was sent on.", run_id, name)
    except Exception:
        logger.exception("Run %s of %s could not be handed on", run_id, name)


_RESENT = frozenset({"stamps", "stamped_headers"})
_OPTIONS = {
    "callbacks": "link",
    "errbacks": "link_error",
    "chain": "chain",
    "chord": "chord",
    "group": "group_id",
    "group_index": "group_index",
    "root_id": "root_id",
    "parent_id": "parent_id",
}
_HEADER_OPTIONS = ("group", "group_index", "root_id", "parent_id")
