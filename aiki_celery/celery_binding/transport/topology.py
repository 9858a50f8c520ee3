"""The SQL of queues, exchanges and bindings: every process sees what any process declared."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiki_celery.celery_binding.transport import clock
from aiki_celery.celery_binding.transport.database import Database


@dataclass(slots=True)
class QueueDeclaration:
    """A queue as this process declared it, to be declared anew if it expired while the process was stopped.

    Attributes:
        expires_after: microseconds after which the queue is deleted when no one consumes; None: never.
        temporary: exclusive or auto-delete.
        exclusive: deleted when its consumer leaves.
        bindings: (exchange, its type, routing key).
    """

    name: str
    expires_after: int | None = None
    temporary: bool = False
    exclusive: bool = False
    bindings: set[tuple[str, str, str]] = field(default_factory=set)


class Topology:
    """What is declared in one broker file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def declare_queue(self, queue: QueueDeclaration) -> None:
        """Make the queue, its exchanges and its bindings as far as they are missing."""
        with self._database.writing() as connection:
            _declare(connection, queue)

    def attend(self, queues: Iterable[QueueDeclaration]) -> None:
        """Put off the expiry of queues, making those anew that are gone."""
        with self._database.writing(durable=False) as connection:
            for queue in queues:
                seen = connection.execute(
                    "UPDATE aiki_broker_queues SET seen_at = ? WHERE name = ?", (clock.now(), queue.name)
                )
                if not seen.rowcount:
                    _declare(connection, queue)

    def has_queue(self, queue: str) -> bool:
        """Tell whether the queue was declared or has been sent to."""
        with self._database.reading() as connection:
            query = "SELECT 1 FROM aiki_broker_queues WHERE name = ?"
            return connection.execute(query, (queue,)).fetchone() is not None

    def delete_queues(self, queues: Sequence[str]) -> None:
        """Delete queues with their bindings and all their messages."""
        names = [(queue,) for queue in queues]
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM aiki_broker_messages WHERE queue = ?", names)
            connection.executemany("DELETE FROM aiki_broker_bindings WHERE queue = ?", names)
            connection.executemany("DELETE FROM aiki_broker_queues WHERE name = ?", names)

    def expired_queues(self) -> list[str]:
        """Return the temporary queues whose consumers are gone for longer than they asked for."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT name FROM aiki_broker_queues"
                " WHERE expires_after IS NOT NULL AND seen_at + expires_after < ?",
                (clock.now(),),
            ).fetchall()
        return [name for (name,) in rows]

    def exchange_type(self, exchange: str) -> str | None:
        """Return the type that the exchange was declared with."""
        with self._database.reading() as connection:
            query = "SELECT type FROM aiki_broker_exchanges WHERE name = ?"
            row = connection.execute(query, (exchange,)).fetchone()
        return row and str(row[0])

    def declare_exchange(self, exchange: str, type_: str) -> None:
        """Make the exchange unless it is there."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO aiki_broker_exchanges (name, type) VALUES (?, ?)", (exchange, type_)
            )

    def delete_exchange(self, exchange: str) -> None:
        """Delete the exchange and its bindings; the queues stay."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM aiki_broker_bindings WHERE exchange = ?", (exchange,))
            connection.execute("DELETE FROM aiki_broker_exchanges WHERE name = ?", (exchange,))

    def exchanges(self) -> list[str]:
        """Return the names of the declared exchanges."""
        with self._database.reading() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM aiki_broker_exchanges")]

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """Return the (routing key, queue) pairs of an exchange."""
        with self._database.reading() as connection:
            query = "SELECT routing_key, queue FROM aiki_broker_bindings WHERE exchange = ?"
            return connection.execute(query, (exchange,)).fetchall()

    def unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Delete one binding."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM aiki_broker_bindings WHERE exchange = ? AND queue = ? AND routing_key = ?",
                (exchange, queue, routing_key),
            )


def _declare(connection: sqlite3.Connection, queue: QueueDeclaration) -> None:
    connection.execute(
        "INSERT INTO aiki_broker_queues (name, expires_after, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at,"
        " expires_after = coalesce(excluded.expires_after, expires_after)",
        (queue.name, queue.expires_after, clock.now()),
    )
    for exchange, type_, routing_key in sorted(queue.bindings):
        connection.execute(
            "INSERT OR IGNORE INTO aiki_broker_exchanges (name, type) VALUES (?, ?)", (exchange, type_)
        )
        connection.execute(
            "INSERT OR IGNORE INTO aiki_broker_bindings (exchange, queue, routing_key) VALUES (?, ?, ?)",
            (exchange, queue.name, routing_key),
        )
