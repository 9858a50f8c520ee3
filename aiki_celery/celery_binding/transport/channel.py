"""What kombu asks of a channel, answered from the database."""

import logging
import os
import sqlite3
from queue import Empty
from typing import Any

from kombu.utils.json import dumps, loads

from aiki_celery.celery_binding.transport import routing
from aiki_celery.celery_binding.transport.clock import microseconds
from aiki_celery.celery_binding.transport.declaring import DeclaringChannel
from aiki_celery.celery_binding.transport.lease import LEASE_SECONDS, LeaseHolder
from aiki_celery.celery_binding.transport.messages import Delivery
from aiki_celery.celery_binding.transport.unacknowledged import Unacknowledged

logger = logging.getLogger(__name__)

IDLE_QUEUE_SECONDS = 60.0


class Channel(DeclaringChannel):
    """A channel whose queues, bindings and messages are rows that all processes share.

    `transport_options`: `lease`, the seconds until the messages of a hung process are delivered again
    (default 15).
    """

    QoS = Unacknowledged
    do_restore = True
    from_transport_options = (*DeclaringChannel.from_transport_options, "lease")
    lease: float = LEASE_SECONDS

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._keeper = connection.keeper
        self._process = 0
        self._unacknowledging: set[str] = set()

    # Publishing

    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> None:
        """Store a message in every queue it is routed to; it is on disk when this returns."""
        self._inplace_augment_message(message, exchange, routing_key)
        queues = self._lookup(exchange, routing_key)
        if queues:
            self.messages.put(
                queues, self._get_message_priority(message), dumps(message), declared_only=bool(exchange)
            )

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        if not exchange:
            return [routing_key]
        type_ = self._type_name(exchange) or "direct"
        queues = routing.matching_queues(type_, self.topology.bindings(exchange), routing_key)
        fallback = default or self.deadletter_queue
        if not queues and fallback:
            self.queue_declare(fallback)
            return [fallback]
        return queues

    # Consuming

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any
    ) -> None:
        """Let `callback` have the messages of a queue."""
        declared = self._declaration(queue)
        if declared.temporary and declared.expires_after is None:
            declared.expires_after = microseconds(IDLE_QUEUE_SECONDS)
        self.topology.declare_queue(declared)
        self._own_holder().queues[queue] = declared
        if no_ack:
            self._unacknowledging.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        self.connection.look_again()

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop a consumer; an exclusive queue goes with it."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is None or queue in self._active_queues or self._holder is None:
            return
        self._unacknowledging.discard(queue)
        declared = self._holder.queues.pop(queue, None)
        if declared is not None and declared.exclusive and self._process == os.getpid():
            try:
                self.topology.delete_queues([queue])
            except sqlite3.Error as error:
                logger.warning("The queue %r is left to expire, as it could not be deleted: %s", queue, error)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """Limit the messages that may be held unacknowledged; 0: no limit."""
        super().basic_qos(prefetch_size, prefetch_count, apply_global)
        self.connection.look_again()

    def open_queues(self) -> list[str]:
        """Return the queues consumed from, none of them while the prefetch limit is reached."""
        return list(dict.fromkeys(self._active_queues)) if self.qos.can_consume() else []

    def deliver(self) -> bool:
        """Hand the messages that may be had now to their consumers and tell whether there were any."""
        queues = self.open_queues()
        if not queues:
            return False
        # Each look begins with another queue, so that a full one does not starve the others.
        self._active_queues.append(self._active_queues.pop(0))
        taken = self._take(queues, self.qos.can_consume_max_estimate() or 1)
        pending = dict.fromkeys(delivery.tag for delivery in taken)
        try:
            for delivery in taken:
                message = self._message(delivery)
                del pending[delivery.tag]
                if message is not None:
                    self.connection.hand_over(message, delivery)
        finally:
            if pending:
                self.messages.release(pending)
        return bool(taken)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for delivery in self._take([queue], 1):
            message = self._message(delivery)
            if message is not None:
                return message
        raise Empty

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Return one message, or None."""
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack:
            self.messages.acknowledge([message.delivery_tag])
        return message

    def _take(self, queues: list[str], limit: int) -> list[Delivery]:
        holder = self._own_holder()
        taken = self.messages.take(queues, holder.owner, holder.lease_seconds, limit)
        unacknowledged = [m.tag for m in taken if m.queue in self._unacknowledging]
        if unacknowledged:
            self.messages.acknowledge(unacknowledged)
        return taken

    def _message(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return a message as kombu reads it, None (and the row is gone) if it is no message at all."""
        try:
            payload: dict[str, Any] = loads(delivery.body)
            properties = payload["properties"]
            properties["delivery_tag"] = delivery.tag
            properties["delivery_info"]["redelivered"] = delivery.deliveries > 1
            self.Message(payload, channel=self)
        except Exception as error:
            logger.error(
                "Message %d in queue %r cannot be read (%s: %s) and is deleted: %r",
                delivery.id, delivery.queue, type(error).__name__, error, delivery.body[:200],
            )  # fmt: skip
            self.messages.acknowledge([delivery.tag])
            return None
        return payload

    def _own_holder(self) -> LeaseHolder:
        if self._holder is None or self._process != os.getpid():
            self._process = os.getpid()
            self._holder = LeaseHolder(float(self.lease))
            self._keeper.watch_over(self._holder)
        return self._holder

    # The end

    def close(self) -> None:
        """Stop the consumers and give back whatever is unacknowledged."""
        super().close()
        # A forked child closes what it inherited: those leases are its parent's.
        if self._holder is not None and self._process == os.getpid():
            self._keeper.dismiss(self._holder)
        self._holder = None
