"""The messages a channel has delivered and not yet heard about: kombu's `QoS`, safe for any thread."""

import sqlite3
from typing import Any

from aiki_celery.celery_binding.transport.messages import Messages


class Unacknowledged:
    """Counts against the prefetch limit and carries acknowledgements to the database.

    Pools acknowledge from their own threads; each method changes the set in one atomic step. What the
    database refused (locked for too long, disk full) is tried again before the next message is taken: its
    lease is being renewed, so it would otherwise stay here until the channel closes.
    """

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        self.prefetch_count = prefetch_count
        self._messages: Messages = channel.messages
        self._tags: set[str] = set()
        self._refused: dict[str, bool] = {}

    def can_consume(self) -> bool:
        """Tell whether the prefetch limit (0: none) leaves room for another message."""
        for delivery_tag, requeue in list(self._refused.items()):
            self._settle(delivery_tag, requeue)
        return not self.prefetch_count or len(self._tags) < self.prefetch_count

    def can_consume_max_estimate(self) -> int | None:
        """Return the room the prefetch limit leaves; None: no limit."""
        return max(self.prefetch_count - len(self._tags), 0) if self.prefetch_count else None

    def append(self, message: Any, delivery_tag: str) -> None:
        """Count a message that was delivered."""
        self._tags.add(delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Delete a message that was dealt with."""
        self._settle(delivery_tag, requeue=False)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, to be delivered again at once, or drop it."""
        self._settle(delivery_tag, requeue)

    def restore_unacked(self) -> None:
        """Give all messages back that nobody has acknowledged."""
        tags, self._tags = self._tags, set()
        self._messages.release(tags)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Do nothing: a channel that closes gives up all its leases at once, see `Channel.close`."""

    def _settle(self, delivery_tag: str, requeue: bool) -> None:
        # The room is made first: the write wakes the loop, which must find it.
        self._tags.discard(delivery_tag)
        try:
            if requeue:
                self._messages.release([delivery_tag])
            else:
                self._messages.acknowledge([delivery_tag])
        except sqlite3.Error:
            self._refused[delivery_tag] = requeue
            raise
        self._refused.pop(delivery_tag, None)
