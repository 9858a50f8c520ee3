"""Celery's signals: when a process becomes a worker's."""

from __future__ import annotations

from typing import Any

from celery import current_app, signals

from aiki_celery.celery_binding.adopted.tracing import wrap_tracers
from aiki_celery.celery_binding.binding import Binding


class ProcessSignals:
    """Listens to the signals of one application's workers. Celery refers to it weakly: whoever made it keeps it.

    Args:
        binding: What the application has.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._has_worker = False
        signals.worker_init.connect(self._on_worker_init)
        signals.worker_process_init.connect(self._on_process_init)

    def _on_worker_init(self, sender: Any = None, **_: Any) -> None:
        if sender is not None and sender.app is self._binding.app:
            self._has_worker = True
            self._binding.process.become_worker(sender.hostname)

    def _on_process_init(self, **_: Any) -> None:
        # The signal does not say whose worker it is. A fork knows what its main process did; of a process that imports
        # everything anew, Celery has made the worker's application the current one.
        if not self._has_worker and current_app._get_current_object() is not self._binding.app:
            return
        self._binding.process.join_worker()
        wrap_tracers(self._binding)
