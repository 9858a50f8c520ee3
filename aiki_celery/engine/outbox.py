"""Messages that follow the commit of a transaction the journal has joined: one batch for all that was written in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.journal.transactions.announcements import Announcements
from aiki_celery.journal.transactions.joined import JoinedTransaction
from aiki_celery.model.events import RunEnqueued, RunPublished
from aiki_celery.model.records import Envelope

#: Sends messages, and gives the ids of the runs whose message was not accepted; a sweep sends those.
Send = Callable[[Sequence[Envelope]], list[str]]

logger = logging.getLogger("aiki_celery.start")


class Outbox:
    """Keeps the messages of one joined transaction until it commits.

    Args:
        joined: The transaction.
        send: Sends messages.
        announcements: Knows which messages are still to be sent.
        hooks: Who is told of lifecycle events.
    """

    def __init__(
        self,
        joined: JoinedTransaction,
        send: Send,
        announcements: Announcements,
        hooks: Lifecycle,
    ) -> None:
        self._joined = joined
        self._send = send
        self._announcements = announcements
        self._hooks = hooks
        self._kept: dict[str, Envelope] = {}
        self._started: list[Envelope] = []
        self._unsure: set[str] = set()
        joined.on_commit(self._flush)

    @classmethod
    def of(
        cls, joined: JoinedTransaction, send: Send, announcements: Announcements, hooks: Lifecycle
    ) -> Outbox:
        """Give the outbox of a transaction, the same one each time."""
        if send not in joined.shared:
            joined.shared[send] = cls(joined, send, announcements, hooks)
        outbox: Outbox = joined.shared[send]
        return outbox

    def add_started(self, envelopes: Sequence[Envelope], *, are_sent: bool) -> None:
        """Keep runs that were started in the transaction, and their messages unless they wait for a time."""
        self._started += envelopes
        if are_sent:
            self._kept |= {envelope.run_id: envelope for envelope in envelopes}
        self._note_savepoint(envelopes)

    def add_woken(self, envelopes: Sequence[Envelope]) -> None:
        """Keep the messages of runs that were queued in the transaction."""
        self._announcements.put_off(self._joined.connection, [envelope.run_id for envelope in envelopes])
        self._kept |= {envelope.run_id: envelope for envelope in envelopes}
        self._note_savepoint(envelopes)

    def _note_savepoint(self, envelopes: Sequence[Envelope]) -> None:
        if self._joined.may_be_undone:
            self._unsure |= {envelope.run_id for envelope in envelopes}

    def _flush(self) -> None:
        # What was written between two savepoints may have been rolled back alone: the journal knows.
        found = self._announcements.look(self._unsure) if self._unsure else {}
        undone = self._unsure - found.keys()
        if self._hooks:
            for envelope in self._started:
                if envelope.run_id not in undone:
                    self._hooks.emit(RunEnqueued(envelope.run_id, envelope.workflow))
        going = [
            envelope
            for run_id, envelope in self._kept.items()
            if run_id not in self._unsure or found.get(run_id, False)
        ]
        if not going:
            return
        refused = set(self._send(going))
        if refused:
            logger.warning(
                "The broker refused the messages of %d run(s), %s first; they are journaled, and a worker sends them.",
                len(refused),
                min(refused),
            )
        sent = [envelope for envelope in going if envelope.run_id not in refused]
        if self._hooks:
            for envelope in sent:
                self._hooks.emit(RunPublished(envelope.run_id, envelope.workflow))
        if sent:
            self._announcements.mark_sent([envelope.run_id for envelope in sent])
