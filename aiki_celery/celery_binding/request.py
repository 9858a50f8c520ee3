"""The worker's side of a message, in its main process: when to acknowledge, and what a lost process means."""

from __future__ import annotations

import signal
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery.exceptions import Ignore, Reject, Retry, WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from aiki_celery.celery_binding.expiry import Expired
from aiki_celery.celery_binding.message import has_callbacks, is_journal_first, kind_of_task


class WorkflowRequest(Request):
    """A message about a run. Runs on the worker's event loop, so it only takes notes; the caretaker acts on them."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Acknowledge early what the journal would bring back; else wait until the pass is over."""
        super().on_accepted(pid, time_accepted)
        if is_journal_first(self.request_dict):
            self.acknowledge()

    def revoked(self) -> bool:
        """Keep the message of a run that was revoked: its cancel is in the journal, and its code cleans up."""
        if is_journal_first(self.request_dict) and kind_of_task(self.task) == "workflow":
            return False
        return bool(super().revoked())

    def maybe_expire(self) -> bool:
        """Pass on what has expired: a run that began in time is not to be revoked, and the journal knows."""
        return False

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a subclass of its own for each task, whose ``on_success`` does not call ours: wrap it."""
        super().__init_subclass__(**options)
        cls.on_success = losing(_confirming(cls.on_success))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """A process that died is no failure: the run is recovered. Anything else is as in Celery."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, (WorkerLostError, SystemExit, KeyboardInterrupt)) and not state.should_terminate:
            return self._on_lost_process()
        if isinstance(error, Expired):
            return self._announce_revoked("expired", False, None, True)
        result = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        if return_ok and not isinstance(error, (Ignore, Reject, Retry)):
            self._confirm()
        return result

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Journal at once that the hard time limit ended the run."""
        if not soft and not state.should_terminate:
            self.task.binding.caretaker_notes.time_out(self.id, self.worker_pid, timeout)
        return super().on_timeout(soft, timeout)

    def interrupt(self, pool: Any) -> None:
        """End the process that is at it. The journal frees the run."""
        self._already_cancelled = True
        state.task_ready(self)
        pool.terminate_job(self.worker_pid, signal.SIGTERM)

    def _confirm(self) -> None:
        """Note that Celery has told everybody of the run's end, if anybody was to be told."""
        if has_callbacks(self._context) or self.task.stores_result(self._context):
            self.task.binding.caretaker_notes.confirm(self.id)

    def _on_lost_process(self) -> None:
        self.on_lost(self.worker_pid)

    def on_lost(self, pid: int | None) -> None:
        """Leave the run to be recovered: at once where its process ``pid`` has died, else when it is found unheld."""
        state.task_ready(self)
        if self._already_cancelled or self._already_revoked:
            return
        self.task.binding.caretaker_notes.lose(pid, self.id)
        # The message of a run that was not journaled yet is the only trace of it.
        self.reject(requeue=True)


def losing(on_success: Any) -> Any:
    """Take what a pool without processes tells of what is no ``Exception``: Celery's own method would die of it."""

    def lose_or_go_on(self: Any, failed__retval__runtime: Any, **options: Any) -> Any:
        if isinstance(failed__retval__runtime, ExceptionInfo):
            return self.on_lost(None)
        return on_success(self, failed__retval__runtime, **options)

    return lose_or_go_on


def _confirming(on_success: Any) -> Any:
    """Note, after Celery's own work, that it has told everybody of the run's end."""

    def confirm_too(self: WorkflowRequest, failed__retval__runtime: Any, **options: Any) -> Any:
        result = on_success(self, failed__retval__runtime, **options)
        # A failure went to on_failure, which notes it by itself.
        if not failed__retval__runtime[0]:
            self._confirm()
        return result

    return confirm_too
