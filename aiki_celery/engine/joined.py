"""What is done in a transaction that the journal has joined: starting runs, sending to them, cancelling them."""

from __future__ import annotations

from collections.abc import Sequence

from aiki_celery.definitions.options import StartOptions
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.outbox import Outbox, Send
from aiki_celery.journal.inbox.inbox import Delivery
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.transactions.joined import JoinedTransaction
from aiki_celery.model.events import CancelRequested, RunEnqueuing, RunEvent
from aiki_celery.model.records import NewRun, envelope_of


class Joined:
    """What can be done in a joined transaction.

    Args:
        journal: Where runs are recorded.
        transaction: The transaction.
        send: Sends messages.
        hooks: Who is told of lifecycle events.
    """

    def __init__(
        self, journal: Journal, transaction: JoinedTransaction, send: Send, hooks: Lifecycle
    ) -> None:
        self._journal = journal
        self._hooks = hooks
        self.transaction = transaction
        self.outbox = Outbox.of(transaction, send, journal.announcements, hooks)

    def start(self, run: NewRun, options: StartOptions) -> str:
        """Write a run, to be sent after the commit, and give its id, or that of the one with its reference id.

        Raises:
            ReferenceConflict: The reference id is taken by a run with other input; the transaction goes on.
        """
        if self._hooks:
            self._hooks.emit(RunEnqueuing(run.id, run.workflow))
        keeps_existing = options.on_conflict == "return_existing"
        run_id = self._journal.joined_starts.insert(self.transaction, run, return_existing=keeps_existing)
        if run_id == run.id:
            self.outbox.add_started([envelope_of(run)], are_sent=not run.waits)
        return run_id

    def start_many(self, runs: Sequence[NewRun]) -> None:
        """Write many runs, to be sent after the commit."""
        self._journal.joined_starts.insert_many(self.transaction, runs)
        self.outbox.add_started([envelope_of(run) for run in runs], are_sent=not runs[0].waits)

    def send(self, run_id: str, name: str, text: str, event_id: str) -> Delivery:
        """Write an event to a run's inbox; if it resumes the run, the message follows the commit.

        Raises:
            RunNotFound: The journal does not know the run, nor does the transaction.
            RunFinished: The run is over.
        """
        self.transaction.begin_writing()
        delivery = self._journal.inbox.deliver(self.transaction.connection, run_id, name, text, event_id)
        if delivery.is_new and delivery.woken is not None:
            self.outbox.add_woken([delivery.woken])
        return delivery

    def cancel(self, run_id: str, reason: str, *, force: bool) -> bool:
        """Cancel a run, and tell whether that makes a difference; messages follow the commit.

        Raises:
            RunNotFound: The journal does not know the run, nor does the transaction.
            RunFinished: It is over, and was not cancelled.
        """
        self.transaction.begin_writing()
        done = self._journal.control.cancel_on(self.transaction.connection, run_id, reason, force=force)
        if done.envelopes:
            self.outbox.add_woken(done.envelopes)
        if done.is_new:
            self.emit_after_commit(CancelRequested(run_id, done.workflow))
        return done.is_new

    def emit_after_commit(self, event: RunEvent) -> None:
        """Tell the hooks of something that has happened once the transaction is committed."""
        if self._hooks:
            self.transaction.on_commit(lambda: self._hooks.emit(event))
