"""How a worker's event loop learns of messages: a pipe that becomes readable when it is worth looking."""

import os
import sqlite3
from typing import Any, Protocol

from aiki_celery.celery_binding.transport import native

DELIVERIES_PER_TURN = 20


class Pollable(Protocol):
    """What the waker needs of a transport."""

    polling_interval: float

    def worth_looking(self) -> bool:
        """Tell whether a message might be found."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver messages, or raise TimeoutError."""


class LoopWaker:
    """A thread that asks the transport whether looking is worth it, and wakes the loop if so.

    SQLite has nothing that a loop could wait for. The loop alone delivers; the thread only looks at counters.
    """

    def __init__(self, transport: Pollable, connection: Any, loop: Any) -> None:
        self._transport = transport
        self._connection = connection
        self._loop = loop
        self._process = os.getpid()
        self._stopped = False
        self._awake = False
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        loop.add_reader(self._readable, self._on_readable)
        # Also on every turn: an acknowledgement in it may have made room for the next message. Delivering
        # there would be too late for the pool, which looks for work at the beginning of a turn.
        loop.on_tick.add(self._wake)
        native.start_thread(self._watch)

    def stop(self) -> None:
        """End the thread and leave the loop."""
        if self._stopped or self._process != os.getpid():
            return
        self._stopped = True
        self._loop.on_tick.discard(self._wake)
        self._loop.remove_reader(self._readable)

    def _watch(self) -> None:
        while not self._stopped:
            self._wake()
            native.sleep(self._transport.polling_interval)
        os.close(self._readable)
        os.close(self._writable)

    def _wake(self) -> None:
        if not self._stopped and not self._awake and self._worth_looking():
            self._awake = True
            os.write(self._writable, b"!")

    def _worth_looking(self) -> bool:
        try:
            return self._transport.worth_looking()
        except sqlite3.Error:
            # The loop shall meet the error itself: it knows how to reconnect.
            return True

    def _on_readable(self) -> None:
        os.read(self._readable, 16)
        self._awake = False
        try:
            for _ in range(DELIVERIES_PER_TURN):
                self._transport.drain_events(self._connection, timeout=0)
        except TimeoutError:
            pass
