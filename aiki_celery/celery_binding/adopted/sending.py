"""Sends the message of a Celery task that a workflow has started: the task's own, with its arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from pydantic_core import from_json

from aiki_celery.celery_binding.adopted.answers import answer
from aiki_celery.celery_binding.message import ONCE_MORE, header, read_options
from aiki_celery.model.adopted_call import AdoptedCall
from aiki_celery.model.records import Envelope

logger = logging.getLogger("aiki_celery.dispatch")


class AdoptedSender:
    """Sends through the task's own ``apply_async``, so that its options, routes and serializer hold.

    Args:
        app: The application.
        calls: Reads from the journal what the messages carry.
        give_up: Settles a run whose message can never be sent, with its error.
    """

    def __init__(
        self,
        app: Celery,
        calls: Callable[[Collection[str]], Mapping[str, AdoptedCall]],
        give_up: Callable[[str, AdoptedCall, Exception], None],
    ) -> None:
        self._app = app
        self._calls = calls
        self._give_up = give_up

    def calls_of(self, envelopes: Sequence[Envelope]) -> Mapping[str, AdoptedCall]:
        """Give what the messages of those of these runs carry that are Celery tasks."""
        run_ids = [envelope.run_id for envelope in envelopes if envelope.kind.is_celery_task]
        return self._calls(run_ids) if run_ids else {}

    def send(self, producer: Any, envelope: Envelope, call: AdoptedCall | None) -> None:
        """Send one message; none for a run that is over by now. One that Celery itself refuses to make fails its run.

        Raises:
            Exception: The broker did not take it.
        """
        if call is None:
            logger.debug("Run %s of %s is over; its message is not sent.", envelope.run_id, envelope.workflow)
            return
        try:
            self._send(producer, envelope, call)
        except Exception as error:
            if isinstance(error, self._errors_of_broker()):
                raise
            self._give_up(envelope.run_id, call, error)

    def _send(self, producer: Any, envelope: Envelope, call: AdoptedCall) -> None:
        given, facts = from_json(call.input), from_json(call.call)
        options = read_options(envelope.request)
        headers = options.pop("headers", None) or {}
        if call.has_begun:
            # It is about the start, and some brokers drop what has expired.
            options.pop("expires", None)
        for name, failed in (("link", False), ("link_error", True)):
            options[name] = [*options.get(name, ()), answer(envelope.run_id, facts, failed=failed)]
        signature = self._app.signature(
            envelope.workflow, args=given["args"], kwargs=given["kwargs"], options=options
        )
        signature.apply_async(
            task_id=envelope.run_id,
            producer=producer,
            headers={**headers, **header(envelope.kind.value)},
            retries=call.attempt - 1,
            add_to_parent=False,
            retry=True,
            retry_policy=ONCE_MORE,
        )

    def _errors_of_broker(self) -> tuple[type[BaseException], ...]:
        connection = self._app.connection_for_write()
        return (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
