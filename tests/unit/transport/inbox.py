"""A consumer that collects what it is given."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from kombu import Connection, Consumer, Queue


class Inbox:
    """Consumes from queues while open; what came stays in `bodies` and `messages`."""

    def __init__(
        self,
        connection: Connection,
        *queues: Queue | str,
        ack: bool = True,
        prefetch: int = 0,
        no_ack: bool = False,
    ) -> None:
        self.bodies: list[Any] = []
        self.messages: list[Any] = []
        self._ack = ack
        self._connection = connection
        self.channel = connection.channel()
        named = [Queue(queue) if isinstance(queue, str) else queue for queue in queues]
        self.consumer = Consumer(self.channel, named, callbacks=[self._on_message], no_ack=no_ack)
        self.consumer.qos(prefetch_count=prefetch)

    def __enter__(self) -> Inbox:
        self.consumer.consume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def drain(self, count: int, timeout: float = 5.0) -> list[Any]:
        """Waits for `count` messages in all; fails by TimeoutError."""
        while len(self.messages) < count:
            self._connection.drain_events(timeout=timeout)
        return self.bodies

    def nothing_comes(self, within: float = 0.1) -> bool:
        """Whether no further message comes."""
        before = len(self.messages)
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=within)
        return len(self.messages) == before

    def _on_message(self, body: Any, message: Any) -> None:
        self.bodies.append(body)
        self.messages.append(message)
        if self._ack:
            message.ack()
