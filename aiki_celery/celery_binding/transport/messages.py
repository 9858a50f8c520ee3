"""The SQL of messages: put, taken under a lease, acknowledged or released."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiki_celery.celery_binding.transport import clock
from aiki_celery.celery_binding.transport.database import Database

_READY = "queue = ? AND lease_owner IS NULL AND available_at <= ?"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One taking of a message. `deliveries` counts them and fences what an earlier holder does later."""

    id: int
    queue: str
    deliveries: int
    body: bytes

    @property
    def tag(self) -> str:
        """The delivery tag: no two deliveries share one."""
        return f"{self.id}.{self.deliveries}"


class Messages:
    """The messages of one broker file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, queues: Iterable[str], priority: int, body: str, declared_only: bool) -> None:
        """Store one message in each queue, on disk when this returns.

        Args:
            queues: names.
            priority: 0 to 9, the highest is delivered first.
            body: the kombu payload as JSON.
            declared_only: leave out queues that were deleted; otherwise they are made.
        """
        now = clock.now()
        with self._database.writing() as connection:
            for queue in queues:
                if not declared_only:
                    connection.execute(
                        "INSERT OR IGNORE INTO aiki_broker_queues (name, seen_at) VALUES (?, ?)", (queue, now)
                    )
                connection.execute(
                    "INSERT INTO aiki_broker_messages (queue, priority, body, available_at)"
                    " SELECT name, ?, ?, ? FROM aiki_broker_queues WHERE name = ?",
                    (priority, body, now, queue),
                )

    def take(self, queues: Sequence[str], owner: str, lease_seconds: float, limit: int) -> list[Delivery]:
        """Lease the best messages: the queues in their order, in each by priority, then by age.

        Args:
            queues: names.
            owner: who must renew the lease, see `lease.py`.
            lease_seconds: from now.
            limit: at most so many.
        """
        now = clock.now()
        with self._database.reading() as connection:
            found = f"SELECT 1 FROM aiki_broker_messages WHERE {_READY} LIMIT 1"
            if not any(connection.execute(found, (queue, now)).fetchone() for queue in queues):
                return []
        taken: list[Delivery] = []
        best = (
            # The cast: text that is no UTF-8 must not fail here, where it would hold up the others.
            "SELECT id, queue, deliveries + 1, CAST(body AS BLOB) FROM aiki_broker_messages"
            f" WHERE {_READY} ORDER BY priority DESC, id LIMIT ?"
        )
        with self._database.writing(durable=False) as connection:
            for queue in queues:
                rows = connection.execute(best, (queue, now, limit - len(taken)))
                taken.extend(Delivery(*row) for row in rows)
            connection.executemany(
                "UPDATE aiki_broker_messages SET lease_owner = ?, lease_until = ?, deliveries = ?"
                " WHERE id = ?",
                [(owner, now + clock.microseconds(lease_seconds), m.deliveries, m.id) for m in taken],
            )
        return taken

    def next_available_at(self, queues: Sequence[str]) -> int | None:
        """Return when the earliest message that waits for its delivery time is due, if there is one."""
        marks = ", ".join("?" * len(queues))
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT min(available_at) FROM aiki_broker_messages"
                f" WHERE lease_owner IS NULL AND queue IN ({marks})",
                tuple(queues),
            ).fetchone()
        due: int | None = row[0]
        return due

    def acknowledge(self, tags: Iterable[str]) -> None:
        """Delete what was delivered under these tags, unless it was delivered again since."""
        with self._database.writing(durable=False) as connection:
            connection.executemany(
                "DELETE FROM aiki_broker_messages WHERE id = ? AND deliveries = ?", map(_key, tags)
            )

    def release(self, tags: Iterable[str]) -> None:
        """Make what was delivered under these tags available at once, in its old place."""
        with self._database.writing(durable=False) as connection:
            connection.executemany(
                "UPDATE aiki_broker_messages SET lease_owner = NULL, lease_until = NULL"
                " WHERE id = ? AND deliveries = ? AND lease_owner IS NOT NULL",
                map(_key, tags),
            )

    def size(self, queue: str) -> int:
        """Count the messages that could be delivered now."""
        with self._database.reading() as connection:
            query = f"SELECT count(*) FROM aiki_broker_messages WHERE {_READY}"
            count: int = connection.execute(query, (queue, clock.now())).fetchone()[0]
        return count

    def purge(self, queue: str) -> int:
        """Delete the messages that nobody holds and return how many they were."""
        with self._database.writing() as connection:
            return connection.execute(
                "DELETE FROM aiki_broker_messages WHERE queue = ? AND lease_owner IS NULL", (queue,)
            ).rowcount


def _key(tag: str) -> tuple[int, int]:
    id_, _, deliveries = tag.partition(".")
    return int(id_), int(deliveries)
