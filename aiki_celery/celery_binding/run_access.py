"""What is done from outside with runs that are there: look at them, wait for them, send to them, move them by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.inline import run_queued, wait
from aiki_celery.definitions.registry import registry
from aiki_celery.engine.controlling import Controller
from aiki_celery.engine.events.sending import Sender
from aiki_celery.engine.fork_plan import Wish
from aiki_celery.engine.forking import fork
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope, RunView, Transition


class RunAccess(ABC):
    """The part of an extension that the handles of runs call."""

    @property
    @abstractmethod
    def binding(self) -> Binding:
        """The application with its journal and engine."""

    @property
    def journal(self) -> Journal:
        """Where runs are recorded."""
        return self.binding.journal

    @property
    def sender(self) -> Sender:
        """What sends events to runs; ``handle.send(...)`` and its kin call it."""
        return self.binding.sender

    @property
    def controller(self) -> Controller:
        """What asks things of runs; ``handle.cancel(...)`` and its kin call it."""
        return Controller(self.journal, self.binding.hooks, self._send_all, self.binding.join)

    def view(self, run_id: str) -> RunView:
        """Give a run as it is now.

        Raises:
            RunNotFound: The journal does not know it.
        """
        self.journal.ensure_ready()
        return self.journal.views.get(run_id)

    def wait(self, run_id: str, timeout: timedelta | float | None) -> RunView:
        """Wait until a run is over.

        Raises:
            TimeoutError: It was not over in time; says what it is doing.
            RunNotFound: The journal does not know it.
        """
        return wait(lambda: self.view(run_id), timeout)

    def history(self, run_id: str) -> list[Transition]:
        """Give a run's transitions, oldest first."""
        self.journal.ensure_ready()
        return self.journal.views.history(run_id)

    def requeue(self, run_id: str) -> None:
        """Queue a stalled run again."""
        self.journal.ensure_ready()
        self.journal.views.requeue(run_id)

    def retry(self, run_id: str) -> None:
        """Queue a failed run again, to go on from what failed; what ``handle.retry()`` calls."""
        self.journal.ensure_ready()
        again = self.journal.second_chances.retry(run_id)
        if again is not None:
            self._send(again)

    def fork(
        self, run_id: str, from_step: int | str | None, version: str | None, reference_id: str | None
    ) -> tuple[str, str]:
        """Make a run from a part of another one's record, and give its id and version; see ``handle.fork()``."""
        self.journal.ensure_ready()
        new = fork(self.journal, run_id, Wish(from_step, version, reference_id), self.binding.hooks)
        self._send(new)
        return new.run_id, new.version

    def _send_all(self, envelopes: Sequence[Envelope]) -> None:
        """Send the messages of runs that go on, or do them here."""
        if self.binding.app.conf.task_always_eager:
            for envelope in envelopes:
                self._send(envelope)
        else:
            self.binding.starter.publish(envelopes)

    def _send(self, queued: Envelope) -> None:
        """Send the message of a run that was queued, or do it here."""
        binding = self.binding
        workflow = registry.workflow(queued.workflow, queued.version)
        if binding.app.conf.task_always_eager and workflow is not None:
            run_queued(binding, workflow, queued.run_id)
        else:
            binding.starter.publish([queued])
