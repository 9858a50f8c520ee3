"""Sends messages about runs through Celery."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from aiki_celery.celery_binding.adopted.sending import AdoptedSender
from aiki_celery.celery_binding.message import ONCE_MORE, header, read_options
from aiki_celery.model.records import Envelope

#: Most messages sent in one go.
BATCH = 200

logger = logging.getLogger("aiki_celery.dispatch")


class CeleryDispatcher:
    """Publishes through one producer of the application's pool.

    Args:
        app: The application.
        adopted: Sends the Celery tasks that workflows have started.
    """

    def __init__(self, app: Celery, adopted: AdoptedSender) -> None:
        self._app = app
        self._adopted = adopted

    def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Send a message for each run, and give the ids of those whose message was not accepted."""
        sent = 0
        for batch in _batches(envelopes):
            try:
                calls = self._adopted.calls_of(batch)
                with self._app.producer_or_acquire() as producer, _together(producer, len(batch)):
                    for envelope in batch:
                        if envelope.kind.is_celery_task:
                            self._adopted.send(producer, envelope, calls.get(envelope.run_id))
                        else:
                            self._send(producer, envelope)
            except Exception as error:
                logger.warning("Publishing stopped after %d of %d messages: %r", sent, len(envelopes), error)
                break
            sent += len(batch)
        # Of a batch that failed, some may have arrived; a message more does no harm.
        return [envelope.run_id for envelope in envelopes[sent:]]

    def depth(self, queue: str | None) -> int:
        """Tell how many messages wait in a queue, zero where there is no such queue."""
        name = queue or self._app.conf.task_default_queue
        try:
            with self._app.connection_for_read() as connection:
                declared = connection.default_channel.queue_declare(queue=name, passive=True)
                return int(declared.message_count)
        except (ChannelError, *_channel_errors(self._app)):
            return 0

    def _send(self, producer: Any, envelope: Envelope) -> None:
        options = read_options(envelope.request)
        headers = options.pop("headers", {})
        if envelope.queue is not None:
            options["queue"] = envelope.queue
        if envelope.priority is not None:
            options["priority"] = envelope.priority
        self._app.send_task(
            envelope.definition,
            task_id=envelope.run_id,
            producer=producer,
            headers={**headers, **header("journal")},
            serializer="json",
            add_to_parent=False,
            retry=True,
            retry_policy=ONCE_MORE,
            **options,
        )


def _batches(envelopes: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
    for start in range(0, len(envelopes), BATCH):
        yield envelopes[start : start + BATCH]


def _together(producer: Any, count: int) -> AbstractContextManager[Any]:
    """Send what is published inside in one go, where kombu (5.7 on) and the transport can."""
    if count == 1 or not hasattr(producer, "batch"):
        return nullcontext()
    batch: AbstractContextManager[Any] = producer.batch()
    return batch


def _channel_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """Give the errors by which the transport says that a queue is not there; a lost connection is not one of them."""
    errors = app.connection_for_read().channel_errors
    return tuple(kind for kind in errors if kind is not OperationalError)
