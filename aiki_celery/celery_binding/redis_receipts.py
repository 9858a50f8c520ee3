"""Spares Redis the bookkeeping of messages that are acknowledged at once.

kombu enters every message it receives in a table of unacknowledged ones, and takes it out again when it is
acknowledged: twice the worker's event loop waits for Redis. The table is there to bring messages back. The journal
brings journal-first runs back by itself, so their messages are entered only if they are still unacknowledged after a
moment: those that wait for a free process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from kombu.transport import virtual

from aiki_celery.celery_binding.message import is_journal_first

#: Seconds after which a message that was not acknowledged is entered. Its run, if both its message and its worker are
#: lost before, is sent again by a sweep, which would not have waited for Redis' visibility timeout either.
GRACE = 0.1


class RedisReceipts:
    """Stands before the bookkeeping of one channel.

    Args:
        qos: The channel's bookkeeping, kombu's ``QoS`` of Redis.
        call_later: Calls a function on the event loop after so many seconds.
    """

    def __init__(self, qos: Any, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self._qos = qos
        self._call_later = call_later
        self._append, self._ack, self._reject = qos.append, qos.ack, qos.reject
        self._restore_unacked = qos.restore_unacked
        # By delivery tag, oldest first: when it was received, and the message.
        self._waiting: dict[str, tuple[float, Any]] = {}
        self._is_timed = False
        # A pool of threads acknowledges from them.
        self._lock = threading.Lock()
        qos.append, qos.ack, qos.reject = self.append, self.ack, self.reject
        qos.restore_unacked = self.restore_unacked

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message was received."""
        if not is_journal_first(message.headers or {}):
            self._append(message, delivery_tag)
            return
        # In this process it counts as received at once: the prefetch limit goes by that.
        virtual.QoS.append(self._qos, message, delivery_tag)
        self._waiting[delivery_tag] = (time.monotonic(), message)
        self._watch()

    def ack(self, delivery_tag: str) -> None:
        """Note that a message was acknowledged."""
        with self._lock:
            is_entered = self._waiting.pop(delivery_tag, None) is None
        if is_entered:
            self._ack(delivery_tag)
        else:
            virtual.QoS.ack(self._qos, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or put it back."""
        self._enter(delivery_tag)
        self._reject(delivery_tag, requeue=requeue)

    def restore_unacked(self, *args: Any, **kwargs: Any) -> Any:
        """Put every unacknowledged message back, as a channel does when it is closed."""
        for delivery_tag in list(self._waiting):
            self._enter(delivery_tag)
        return self._restore_unacked(*args, **kwargs)

    def _watch(self) -> None:
        if not self._is_timed:
            self._is_timed = True
            self._call_later(GRACE, self._enter_due)

    def _enter_due(self) -> None:
        """Enter what was not acknowledged in time."""
        self._is_timed = False
        for delivery_tag, (received_at, _) in list(self._waiting.items()):
            if time.monotonic() < received_at + GRACE:
                self._watch()
                return
            self._enter(delivery_tag)

    def _enter(self, delivery_tag: str) -> None:
        # An acknowledgement meanwhile has to wait, else it would find nothing to take out.
        with self._lock:
            if (waiting := self._waiting.pop(delivery_tag, None)) is not None:
                self._append(waiting[1], delivery_tag)
