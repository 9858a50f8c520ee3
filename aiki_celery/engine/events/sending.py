"""Sending events: validate, write to the run's inbox, then send the message of a run that goes on because of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from aiki_celery.definitions.event import Event
from aiki_celery.definitions.options import check_event_id
from aiki_celery.definitions.sending import SendOutcome
from aiki_celery.engine.events.callbacks import CALLBACK, read_token
from aiki_celery.engine.joined import Joined
from aiki_celery.engine.lifecycle import Lifecycle
from aiki_celery.engine.ports import Publish
from aiki_celery.errors import (
    EventLimitExceeded,
    InputInvalid,
    PayloadTooLarge,
    RunFinished,
    RunNotFound,
    TokenUsed,
)
from aiki_celery.journal.inbox.inbox import Delivery
from aiki_celery.journal.journal import Journal
from aiki_celery.model.events import EventSending, EventSent
from aiki_celery.settings import AikiSettings

#: What ids begin with that are drawn for each event. Such ids, and those of callbacks, are not the sender's own.
DRAWN = "aiki:"


class Sender:
    """Sends events to runs.

    Args:
        journal: Where runs are recorded.
        settings: The settings.
        hooks: Who is told of lifecycle events.
        publish: Sends the messages of runs that go on.
        join: Joins a transaction of the caller's, for a workflow of this name.
    """

    def __init__(
        self,
        journal: Journal,
        settings: AikiSettings,
        hooks: Lifecycle,
        publish: Publish,
        join: Callable[[Any, str], Joined],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._hooks = hooks
        self._publish = publish
        self._join = join

    def send(
        self,
        run_id: str,
        workflow: str,
        event: Event[Any],
        payload: Any,
        event_id: str | None = None,
        session: Any = None,
    ) -> bool:
        """Send an event to a run.

        Args:
            run_id: The run.
            workflow: Name of its workflow.
            event: The event.
            payload: What is sent.
            event_id: The sender's own name for it, under which the run counts it once.
            session: Has the transaction in which it is written, if not one of its own.

        Returns:
            Whether it counts: not if one with its id had come before.

        Raises:
            InputInvalid: The payload, the id or the session does not fit; nothing was written.
            NotJournalable: The payload has no JSON form; nothing was written.
            PayloadTooLarge: It is too large; nothing was written.
            RunNotFound: The journal does not know the run.
            RunFinished: The run is over.
            EventLimitExceeded: It has received as many events as it may.
        """
        text = self.text_of(_checked(event), event.write(payload))
        chosen = check_id(event, event_id)
        if session is not None:
            return self._send_in(session, run_id, workflow, event.name, text, chosen)
        return self.send_text(run_id, workflow, event.name, text, chosen)

    def send_many(
        self,
        workflow: str,
        event: Event[Any],
        payload: Any,
        reference_ids: Sequence[str],
        event_id: str | None = None,
    ) -> list[SendOutcome]:
        """Send an event to the runs of a workflow that have these reference ids; see :meth:`send`."""
        text, chosen = self.text_of(_checked(event), event.write(payload)), check_id(event, event_id)
        if isinstance(reference_ids, str):
            raise InputInvalid(event.name, "reference_ids", "a list of reference ids is expected, not one")
        self._journal.ensure_ready()
        runs = self._journal.inbox.runs_of(workflow, reference_ids)
        return [
            self._outcome(reference_id, runs.get(reference_id), workflow, event.name, text, chosen)
            for reference_id in reference_ids
        ]

    def exchange(self, event: Event[Any], token: str, payload: Any) -> str:
        """Send an event to the run that gave a token out, once; see :meth:`~aiki_celery.Event.exchange`."""
        callback = read_token(self._settings, _checked(event).name, token)
        text = self.text_of(event, event.write_plain(payload))
        self._journal.ensure_ready()
        callback.check_time(self._journal.now())
        if not self.send_text(callback.run_id, callback.workflow, event.name, text, callback.event_id):
            raise TokenUsed(event.name, callback.run_id)
        return callback.run_id

    def text_of(self, event: Event[Any], text: str) -> str:
        """Give a payload's JSON text, if it is not too large.

        Raises:
            PayloadTooLarge: It has more bytes than ``aiki_max_payload``.
        """
        size, limit = len(text.encode()), self._settings.max_payload
        if size > limit:
            raise PayloadTooLarge(event.name, "the payload", size, limit)
        return text

    def send_text(self, run_id: str, workflow: str, name: str, text: str, event_id: str) -> bool:
        """Send a payload that was validated, written and checked; see :meth:`send`."""
        self._journal.ensure_ready()
        if self._hooks:
            self._hooks.emit(EventSending(run_id, workflow, name))
        delivery = self._journal.inbox.send(run_id, name, text, event_id)
        self.sent(run_id, workflow, name, delivery)
        return delivery.is_new

    def _send_in(self, session: Any, run_id: str, workflow: str, name: str, text: str, event_id: str) -> bool:
        """Send a payload in a transaction of the caller's."""
        joined = self._join(session, workflow)
        if self._hooks:
            self._hooks.emit(EventSending(run_id, workflow, name))
        delivery = joined.send(run_id, name, text, event_id)
        joined.emit_after_commit(EventSent(run_id, workflow, name, delivery.is_new))
        return delivery.is_new

    def sent(self, run_id: str, workflow: str, name: str, delivery: Delivery) -> None:
        """Tell of an event that was written, and send the message of the run if it goes on because of it."""
        if self._hooks:
            self._hooks.emit(EventSent(run_id, workflow, name, delivery.is_new))
        if delivery.woken is not None:
            self._publish([delivery.woken])

    def _outcome(
        self, reference_id: str, run_id: str | None, workflow: str, name: str, text: str, event_id: str
    ) -> SendOutcome:
        if run_id is None:
            return SendOutcome(reference_id, None, "unknown")
        try:
            is_new = self.send_text(run_id, workflow, name, text, event_id)
        except RunFinished:
            return SendOutcome(reference_id, run_id, "finished")
        except RunNotFound:
            return SendOutcome(reference_id, None, "unknown")
        except EventLimitExceeded:
            return SendOutcome(reference_id, run_id, "full")
        return SendOutcome(reference_id, run_id, "delivered" if is_new else "duplicate")


def check_id(event: Event[Any], event_id: str | None) -> str:
    """Give the id under which an event counts once: the sender's, or one that is drawn.

    Raises:
        InputInvalid: It cannot be one, as a reference id could not; or it is one of ours.
    """
    if event_id is None:
        return f"{DRAWN}{uuid.uuid4().hex}"
    if check_event_id(event.name, event_id).startswith((DRAWN, CALLBACK)):
        raise InputInvalid(
            event.name, "id", f"{event_id!r}: ids that begin with {DRAWN} or {CALLBACK} are ours"
        )
    return event_id


def _checked(event: Any) -> Event[Any]:
    if not isinstance(event, Event):
        raise InputInvalid(repr(event)[:60], "event", 'what event("name", Type) gave is expected')
    return event
