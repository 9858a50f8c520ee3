"""Cancelling, pausing, resuming and waking runs, from outside: journal first, then the messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiki_celery.engine.joined import Joined
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.journal.control.cancels import Acknowledged
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import CancelRequested, PauseRequested, RunEvent, RunResumed, RunWoken
from aiki_celery.model.records import Envelope


class Controller:
    """Asks things of runs.

    Args:
        journal: Where runs are recorded.
        hooks: Who is told of lifecycle events.
        publish: Sends messages.
        join: Joins a transaction of the caller's.
    """

    def __init__(
        self,
        journal: Journal,
        hooks: Lifecycle,
        publish: Callable[[Sequence[Envelope]], None],
        join: Callable[[Any, str], Joined],
    ) -> None:
        self._join = join
        self._journal = journal
        self._hooks = hooks
        self._publish = publish

    def cancel(self, run_id: str, reason: str = "", *, force: bool = False, session: Any = None) -> bool:
        """Cancel a run, in the session's transaction if one is given; tell whether it had not been cancelled before.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over, and was not cancelled.
            InputInvalid: The session cannot be joined.
        """
        if session is not None:
            return self._join(session, "cancel").cancel(run_id, reason, force=force)
        self._journal.ensure_ready()
        return self.go_on(run_id, self._journal.control.cancel(run_id, reason, force=force), CancelRequested)

    def enforce_deadline(self, run_id: str) -> bool:
        """Cancel a run whose deadline has passed; tell whether that makes a difference."""
        return self.go_on(run_id, self._journal.deadlines.enforce(run_id), CancelRequested)

    def pause(self, run_id: str) -> bool:
        """Pause a run; tell whether it had not been paused before.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It cannot be paused.
        """
        self._journal.ensure_ready()
        return self.go_on(run_id, self._journal.control_moves.pause(run_id), PauseRequested)

    def resume(self, run_id: str) -> bool:
        """Let a paused run go on; tell whether it was paused.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It is stalled.
        """
        self._journal.ensure_ready()
        return self.go_on(run_id, self._journal.control_moves.resume(run_id), RunResumed)

    def wake(self, run_id: str) -> None:
        """End a run's sleep.

        Raises:
            RunNotFound: There is no run with this id.
            RunFinished: It is over.
            WrongState: It does not sleep.
        """
        self._journal.ensure_ready()
        self.go_on(run_id, self._journal.control_moves.wake(run_id), RunWoken)

    def go_on(self, run_id: str, done: Acknowledged, event: type[RunEvent]) -> bool:
        """Tell the hooks what was acknowledged, and send the messages of those that go on because of it."""
        if done.is_new and self._hooks:
            self._hooks.emit(event(run_id, done.workflow))
        if done.envelopes:
            self._publish(done.envelopes)
        return done.is_new
