"""The worker's main process and the messages of Celery tasks that workflows have started.

For such a message the task's own request class is extended: by what its run has to hear when the process that was at it
is not there to say it. Any other message of the same task meets exactly what Celery made for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import WorkerLostError
from celery.utils.imports import symbol_by_name
from celery.worker import state

from aiki_celery.celery_binding.adopted.answers import answering_here
from aiki_celery.celery_binding.adopted.tracing import wrap_tracers
from aiki_celery.celery_binding.expiry import Expired
from aiki_celery.celery_binding.message import HEADER, is_adopted, kind_of_task
from aiki_celery.celery_binding.request import losing

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding
    from aiki_celery.celery_binding.caretaker_notes import CaretakerNotes


class AdoptedRequest:
    """What is put before the request class of a task. Runs on the worker's event loop, so it only takes notes."""

    id: str
    worker_pid: int | None
    notes: CaretakerNotes
    on_success: Any

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a subclass of its own, with its own ``on_success``: wrap it."""
        super().__init_subclass__(**options)
        cls.on_success = losing(cls.on_success)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """A process that died is no failure: the run is recovered. Anything else is as in Celery."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, (WorkerLostError, SystemExit, KeyboardInterrupt)) and not state.should_terminate:
            return self._on_lost_process()
        if isinstance(error, Expired):
            return self._announce_revoked("expired", False, None, True)
        with answering_here(self.id):
            return super().on_failure(  # type: ignore[misc]
                exc_info, send_failed_event=send_failed_event, return_ok=return_ok
            )

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Journal at once that the hard time limit ended the run."""
        if not soft and not state.should_terminate:
            self.notes.time_out(self.id, self.worker_pid, timeout)
        with answering_here(self.id):
            return super().on_timeout(soft, timeout)  # type: ignore[misc]

    def maybe_expire(self) -> bool:
        """Pass on what has expired: a try that began in time is not to be revoked, and the journal knows."""
        return False

    def terminate(self, pool: Any, signal: Any = None) -> Any:
        """Journal first that the run was revoked: the end of its process must not look like a crash."""
        if self.time_start:  # type: ignore[attr-defined]
            self.notes.revoke(self.id, "terminated")
        return super().terminate(pool, signal)  # type: ignore[misc]

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> Any:
        self.notes.revoke(self.id, reason)
        with answering_here(self.id):
            return super()._announce_revoked(reason, terminated, signum, expired)  # type: ignore[misc]

    def _on_lost_process(self) -> None:
        self.on_lost(self.worker_pid)

    def on_lost(self, pid: int | None) -> None:
        """Leave the run to be recovered: at once where its process ``pid`` has died, else when it is found unheld."""
        state.task_ready(self)
        if self._already_cancelled or self._already_revoked:  # type: ignore[attr-defined]
            return
        self.notes.lose(pid, self.id)
        # The journal brings it back; a message of the broker's would only come beside that.
        self.acknowledge()  # type: ignore[attr-defined]


def adopt_tasks(binding: Binding, consumer: Any) -> None:
    """Have a worker's consumer make such requests, and its process run them; again whenever Celery builds its own.

    Args:
        binding: The application and its journal.
        consumer: The worker's consumer, before it has built its strategies.
    """
    update: Callable[[], None] = consumer.update_strategies

    def update_and_adopt() -> None:
        update()
        wrap_tracers(binding)
        for name, strategy in list(consumer.strategies.items()):
            task = binding.app.tasks.get(name)
            if task is not None and kind_of_task(task) is None:
                consumer.strategies[name] = _chosen(strategy, _adopting_strategy(binding, task, consumer))

    consumer.update_strategies = update_and_adopt


def _chosen(strategy: Callable[..., Any], adopting: Callable[..., Any]) -> Callable[..., Any]:
    def handle(message: Any, *args: Any, **options: Any) -> Any:
        headers = message.headers
        if headers and HEADER in headers and is_adopted(headers):
            return adopting(message, *args, **options)
        return strategy(message, *args, **options)

    return handle


def _adopting_strategy(binding: Binding, task: Any, consumer: Any) -> Callable[..., Any]:
    """Build a task's own strategy once more, over its own request class with ours before it."""
    own, had = task.Request, "Request" in vars(task)
    task.Request = type(
        "AdoptedRequest", (AdoptedRequest, symbol_by_name(own)), {"notes": binding.caretaker_notes}
    )
    try:
        strategy: Callable[..., Any] = task.start_strategy(binding.app, consumer)
        return strategy
    finally:
        if had:
            task.Request = own
        else:
            del task.Request
