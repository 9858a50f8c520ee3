"""Messages of ours that come to a worker which has no task for them, as in a rolling deploy: they are handed on.

Celery throws such a message away and stores a failure under its id, which whoever waits for the result would take for
the run's end. Other messages meet exactly that.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.exceptions import NotRegistered

from aiki_celery.celery_binding.adopted.settling import settle
from aiki_celery.celery_binding.message import ONCE_MORE, is_adopted, is_foreign, is_journal_first, is_ours
from aiki_celery.engine.failures import write_failure
from aiki_celery.model.status import RunStatus

if TYPE_CHECKING:
    from aiki_celery.celery_binding.binding import Binding

logger = logging.getLogger("aiki_celery.worker")

#: Longest time for which a message is kept before it is sent on, in seconds: it may come straight back.
PAUSE = 1.0

#: Properties of a message that are its sender's; the others are the transport's, or said in another way. The broker
#: would refuse ``user_id``, which is the sender's at the broker.
_PROPERTIES = (
    *("correlation_id", "reply_to", "priority", "delivery_mode"),
    *("message_id", "timestamp", "type", "app_id", "cluster_id"),
)


def hand_on_unknown(binding: Binding, consumer: Any) -> None:
    """Have a worker's consumer hand on what is ours and unknown to it.

    Args:
        binding: The application and its journal.
        consumer: The worker's consumer, before it has begun to receive.
    """
    discard: Callable[..., Any] = consumer.on_unknown_task

    def on_unknown_task(body: Any, message: Any, error: Exception) -> Any:
        if not is_ours(message.headers) or "task" not in message.headers:
            return discard(body, message, error)
        if is_foreign(message.headers):
            discard(body, message, error)
            return _in_thread(_fail_foreign, binding, message)
        if is_journal_first(message.headers) or is_adopted(message.headers):
            return _in_thread(_leave, binding, consumer, message)
        # As Celery does with a message whose time has not come: others are received meanwhile.
        qos = consumer.qos
        qos.increment_eventually()

        def go_on() -> None:
            qos.decrement_eventually()
            _in_thread(_send_on, binding, consumer, message)

        # Redis gives a message to who has waited longest: in step with the others, that might be this worker for ever.
        return consumer.timer.call_after(random.uniform(0, PAUSE), go_on)

    consumer.on_unknown_task = on_unknown_task


def _in_thread(work: Callable[..., None], *args: Any) -> None:
    """Work besides the event loop: this waits for the database and the broker."""
    threading.Thread(target=work, args=args, daemon=True).start()


def _leave(binding: Binding, consumer: Any, message: Any) -> None:
    """Let a worker that has the task find the run in the journal, within a poll interval."""
    name, run_id = _who(message)
    try:
        binding.journal.timers.mark_unpublished([run_id])
        logger.warning("Run %s of %s: this worker does not have it; left for one that has.", run_id, name)
    except Exception:
        # The journal brings it back all the same, but later.
        logger.exception("Run %s of %s could not be handed on", run_id, name)
    consumer.call_soon(message.ack_log_error, logger, consumer.connection_errors)


def _send_on(binding: Binding, consumer: Any, message: Any) -> None:
    """Send a message again as it is: it is the only trace of its run. Acknowledged last, so that it is never lost."""
    name, run_id = _who(message)
    try:
        _publish(binding, message)
    except Exception:
        logger.exception("Run %s of %s could not be handed on; its message goes back", run_id, name)
        consumer.call_soon(message.reject_log_error, logger, consumer.connection_errors, requeue=True)
        return
    logger.warning("Run %s of %s: this worker does not have it; its message was sent on.", run_id, name)
    consumer.call_soon(message.ack_log_error, logger, consumer.connection_errors)


def _publish(binding: Binding, message: Any) -> None:
    headers, delivered = dict(message.headers), message.delivery_info
    given = message.properties
    properties = {name: given[name] for name in _PROPERTIES if given.get(name) is not None}
    if given.get("expiration") is not None:
        # A message has it in milliseconds; it is given in seconds.
        properties["expiration"] = float(given["expiration"]) / 1000
    with binding.app.producer_or_acquire() as producer:
        producer.publish(
            message.body,
            exchange=delivered.get("exchange") or "",
            routing_key=delivered["routing_key"],
            headers=headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            # The body is there unpacked.
            compression=headers.pop("compression", None),
            retry=True,
            retry_policy=ONCE_MORE,
            **properties,
        )


def _fail_foreign(binding: Binding, message: Any) -> None:
    name, run_id = _who(message)
    try:
        why = f"it came to a worker that has no task {name!r}: route it to a queue of the service that has it"
        settle(binding, run_id, RunStatus.FAILED, error=write_failure(NotRegistered(why), 1), why=why)
    except Exception:
        logger.exception("Run %s of %s could not be failed", run_id, name)


def _who(message: Any) -> tuple[str, str]:
    return message.headers["task"], message.headers["id"]
