"""The part of a channel that declares: queues, exchanges and bindings."""

from typing import Any

from amqp.protocol import queue_declare_ok_t
from kombu.exceptions import ChannelError
from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.utils.uuid import uuid

from aiki_celery.celery_binding.transport import routing
from aiki_celery.celery_binding.transport.clock import SECOND
from aiki_celery.celery_binding.transport.lease import LeaseHolder
from aiki_celery.celery_binding.transport.messages import Messages
from aiki_celery.celery_binding.transport.topology import QueueDeclaration, Topology


class DeclaringChannel(virtual.Channel):
    """Declarations are rows that all processes share; their times and sizes are those of all processes."""

    supports_fanout = True

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.messages = Messages(connection.database)
        self.topology = Topology(connection.database)
        self._declared: dict[str, QueueDeclaration] = connection.declared
        self._holder: LeaseHolder | None = None

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> Any:
        """Declare a queue and return its name with the number of messages ready in it.

        Raises:
            ChannelError: NOT_FOUND (404), if `passive` and there is no such queue.
        """
        queue = queue or f"amq.gen-{uuid()}"
        if passive:
            if not self.topology.has_queue(queue):
                raise ChannelError(
                    f"NOT_FOUND - no queue {queue!r} in {self.connection.database.path!r}",
                    (50, 10), "Channel.queue_declare", "404",
                )  # fmt: skip
        else:
            declared = self._declaration(queue)
            expires = (kwargs.get("arguments") or {}).get("x-expires")
            if expires is not None:
                declared.expires_after = int(expires) * SECOND // 1000
            declared.exclusive = bool(kwargs.get("exclusive"))
            declared.temporary = declared.exclusive or bool(kwargs.get("auto_delete"))
            self.topology.declare_queue(declared)
        return queue_declare_ok_t(queue, self.messages.size(queue), 0)

    def prepare_queue_arguments(self, arguments: Any, **kwargs: Any) -> Any:
        """Keep what kombu's `Queue(expires=...)` asks for, under RabbitMQ's names."""
        return to_rabbitmq_queue_arguments(arguments or {}, **kwargs)

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """Delete a queue with its messages and bindings; with `if_empty` only when nothing is ready in it."""
        if if_empty and self.messages.size(queue):
            return
        self._declared.pop(queue, None)
        if self._holder is not None:
            self._holder.queues.pop(queue, None)
        self.topology.delete_queues([queue])

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Let a queue have what is sent to an exchange under a routing key."""
        exchange = exchange or "amq.direct"
        declared = self._declaration(queue)
        declared.bindings.add((exchange, self._type_name(exchange) or "direct", routing_key))
        self.topology.declare_queue(declared)

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Undo a binding."""
        exchange = exchange or "amq.direct"
        declared = self._declaration(queue)
        declared.bindings = {b for b in declared.bindings if (b[0], b[2]) != (exchange, routing_key)}
        self.topology.unbind(queue, exchange, routing_key)

    def exchange_declare(
        self, exchange: str | None = None, type: str = "direct", passive: bool = False, **kwargs: Any
    ) -> None:
        """Declare an exchange of type direct, topic or fanout.

        Raises:
            ChannelError: NOT_FOUND (404) if `passive` and there is none; PRECONDITION_FAILED (406) if there
                is one of another type.
        """
        type = type or "direct"
        exchange = exchange or f"amq.{type}"
        known = self._type_name(exchange)
        if known == type and exchange in routing.PREDECLARED:
            return
        if passive and known is None:
            raise ChannelError(
                f"NOT_FOUND - no exchange {exchange!r} in {self.connection.database.path!r}",
                (40, 10), "Channel.exchange_declare", "404",
            )  # fmt: skip
        if known not in {None, type} and not passive:
            raise ChannelError(
                f"PRECONDITION_FAILED - the exchange {exchange!r} has the type {known!r}, not {type!r}; "
                "delete it (celery amqp exchange.delete) to change that",
                (40, 10), "Channel.exchange_declare", "406",
            )  # fmt: skip
        if known is None:
            self.topology.declare_exchange(exchange, type)

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Delete an exchange and its bindings."""
        self.topology.delete_exchange(exchange)

    def get_exchanges(self) -> list[str]:
        """Return the names of all exchanges."""
        return self.topology.exchanges()

    def get_table(self, exchange: str) -> list[tuple[str, str | None, str]]:
        """Return the bindings of an exchange as (routing key, pattern, queue)."""
        return [(key, None, queue) for key, queue in self.topology.bindings(exchange)]

    def list_bindings(self) -> list[tuple[str, str, str]]:
        """Return all bindings as (queue, exchange, routing key)."""
        return [(q, name, key) for name in self.get_exchanges() for key, q in self.topology.bindings(name)]

    def _type_name(self, exchange: str) -> str | None:
        return routing.PREDECLARED.get(exchange) or self.topology.exchange_type(exchange)

    def _declaration(self, queue: str) -> QueueDeclaration:
        return self._declared.setdefault(queue, QueueDeclaration(queue))

    def _purge(self, queue: str) -> int:
        return self.messages.purge(queue)

    def _size(self, queue: str) -> int:
        return self.messages.size(queue)
