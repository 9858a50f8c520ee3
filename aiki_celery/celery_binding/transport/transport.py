"""The kombu transport: finds out when to look into the database, and lets the channels look."""

import sqlite3
import time
from typing import Any

from kombu.transport import virtual

from aiki_celery.celery_binding.transport import clock
from aiki_celery.celery_binding.transport.address import database_path
from aiki_celery.celery_binding.transport.channel import Channel
from aiki_celery.celery_binding.transport.database import Database, database_for
from aiki_celery.celery_binding.transport.event_loop import LoopWaker
from aiki_celery.celery_binding.transport.lease import LeaseKeeper
from aiki_celery.celery_binding.transport.messages import Delivery, Messages
from aiki_celery.celery_binding.transport.topology import QueueDeclaration

_keepers: dict[str, LeaseKeeper] = {}


class Transport(virtual.Transport):
    """Messages in a SQLite file, for the processes of one machine.

    `transport_options`: `polling_interval`, the seconds between two looks at the database's change counter
    (default 0.01), and those of `Channel`.

    Raises:
        BrokerFileUnusable: when connecting, if the file cannot be used.
    """

    Channel = Channel
    default_port = 0
    driver_type = "sqlite"
    driver_name = "aiki"
    polling_interval = 0.01
    connection_errors = (
        *virtual.Transport.connection_errors,
        sqlite3.OperationalError,
        sqlite3.InterfaceError,
    )
    recoverable_connection_errors = connection_errors
    recoverable_channel_errors = ()
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset({"direct", "topic", "fanout"})
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.database: Database = database_for(database_path(client.hostname, client.virtual_host))
        self.keeper = _keepers.setdefault(self.database.path, LeaseKeeper(self.database))
        self.declared: dict[str, QueueDeclaration] = {}
        self._messages = Messages(self.database)
        self._waker: LoopWaker | None = None
        self._seen: tuple[int, int, int] | None = None
        self._due: int | None = None

    def driver_version(self) -> str:
        """Return SQLite's version."""
        return sqlite3.sqlite_version

    def establish_connection(self) -> "Transport":
        """Open the file, so that what is wrong with it is said now."""
        self.database.version()
        connection: Transport = super().establish_connection()
        return connection

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what is there, waiting for it if need be.

        Args:
            connection: ignored; kombu's signature.
            timeout: seconds; None: for ever.

        Raises:
            TimeoutError: nothing came in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self.worth_looking() and self._look()):
            remaining = self.polling_interval if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            time.sleep(min(self.polling_interval, remaining))

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Deliver from kombu's event loop, which wakes when there may be something."""
        self._waker = LoopWaker(self, connection, loop)

    def close_connection(self, connection: Any) -> None:
        """Close the channels; what they hold unacknowledged goes back."""
        if self._waker is not None:
            self._waker.stop()
            self._waker = None
        super().close_connection(connection)

    def worth_looking(self) -> bool:
        """Tell whether a channel might find a message: after a change, or when a delivery time has come."""
        if self._due is not None and self._due <= clock.now():
            return True
        return self._seen is None or self._seen != self.database.version()

    def look_again(self) -> None:
        """Make the next look happen even if the database does not change."""
        self._seen = None

    def hand_over(self, message: dict[str, Any], delivery: Delivery) -> None:
        """Call the consumer of the queue; without one the message goes back."""
        callback = self._callbacks.get(delivery.queue)
        if callback is None:
            self._messages.release([delivery.tag])
        else:
            callback(message)

    def _look(self) -> bool:
        version = self.database.version()
        for channel in list(self.channels):
            if channel.deliver():
                # The next look begins with another channel.
                if channel in self.channels:
                    self.channels.remove(channel)
                    self.channels.append(channel)
                self._seen = None
                return True
        queues = [queue for channel in self.channels for queue in channel.open_queues()]
        self._due = self._messages.next_available_at(queues) if queues else None
        self._seen = version
        return False

    def _collect(self, connection: Any) -> None:
        """Forget the connection in a forked child, touching nothing that is the parent's."""
        self.channels.clear()
        self._avail_channels.clear()
        self._callbacks.clear()
