"""A worker without a broker and without a process: takes its messages one after the other, in this very thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery

from aiki_celery import Aiki
from aiki_celery.celery_binding.binding import Binding, known_definitions
from aiki_celery.definitions.registry import registry
from aiki_celery.definitions.workflow import Workflow
from aiki_celery.engine.events.sending import Sender
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.outcome import Outcome
from aiki_celery.engine.ports import Forever, Host
from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Claim, Envelope, StepRecord
from aiki_celery.model.status import RunKind, RunStatus
from aiki_celery.settings import AikiSettings
from tests.contract.rows import run_row
from tests.contract.stories import ALICE, queued
from tests.harness.eventually import eventually
from tests.harness.invariants import check_families


class House:
    """Runs passes in this thread.

    Args:
        journal: The journal.
        host: Who says when to let go.
        tasks: Names of Celery's own tasks that the application has.
        **settings: Settings of the engine.

    Attributes:
        app: The Celery application.
        binding: Its binding; its executor runs the passes.
        inbox: Messages that were sent and not taken, by run.
        sent: Every message there was.
        hooks: Who is told of lifecycle events.
        sender: Sends events; the messages of runs that go on come to the inbox.
    """

    def __init__(
        self, journal: Journal, host: Host | None = None, tasks: Sequence[str] = (), **settings: Any
    ) -> None:
        self.journal = journal
        self.inbox: deque[str] = deque()
        self.sent: list[str] = []
        self.hooks = Lifecycle()
        self.host = host or Forever()
        self.app = Celery("house", broker="memory://", set_as_current=False)
        for name in tasks:
            self.app.task(_nothing, name=name)
        # Compiles what is defined: what is not a task of the application cannot be started.
        Aiki(self.app, journal=journal.connections.url.render_as_string(hide_password=False))
        self.app.finalize()
        self.binding = Binding(self.app, AikiSettings(**settings), self.hooks, journal)
        self.executor = self.binding.executor
        self.sender = Sender(
            journal, self.binding.settings, self.hooks, self.publish, self.binding.starter.join
        )

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Takes messages."""
        self.inbox.extend(envelope.run_id for envelope in envelopes)
        self.sent.extend(envelope.run_id for envelope in envelopes)

    def enqueue(self, workflow: Workflow[..., Any], *args: Any) -> str:
        """Starts a run and sends its message."""
        text = workflow.signature.bind_input(args, {}).text
        run_id = queued(self.journal, workflow=workflow.name, version=workflow.version, input=text)
        self.inbox.append(run_id)
        return run_id

    def take(self, run_id: str) -> Outcome | None:
        """Does what a message asks for; None if there is nothing to do."""
        if run_id in self.inbox:
            self.inbox.remove(run_id)
        taken = self.executor.claim(run_id, ALICE)
        return None if taken is None else self.run(*taken)

    def run(self, claim: Claim, steps: list[StepRecord]) -> Outcome:
        """Runs a pass of what was claimed."""
        if claim.kind is RunKind.STEP:
            task = registry.task(claim.workflow)
            assert task is not None
            return self.executor.run_step(task, claim, steps, self.host, publish=self.publish)
        workflow = registry.workflow(claim.workflow, claim.version)
        assert workflow is not None
        return self.executor.run(workflow, claim, steps, self.host, told=True, publish=self.publish)

    def drain(self, order: Callable[[deque[str]], str] = deque.popleft) -> None:
        """Does all that is to be done, in the order given, until nothing waits for a time or for a message."""

        def is_quiet() -> bool:
            while self.inbox:
                self.take(order(self.inbox))
            self.publish(self.journal.timers.queue_due(known_definitions(), 1000))
            return not self.inbox and self.journal.timers.seconds_to_next() is None

        eventually(is_quiet, 30, "nothing to be left to do", interval=0.005)
        check_families(self.journal.connections.engine)

    def result_of(self, workflow: Workflow[..., Any], *args: Any) -> Any:
        """Starts a run, does everything, and gives its result."""
        run_id = self.enqueue(workflow, *args)
        self.drain()
        row = run_row(self.journal, run_id)
        assert RunStatus.COMPLETED == row.status, (row.status, row.reason, row.error)
        return workflow.signature.read_result(row.output)


def _nothing() -> None: ...
