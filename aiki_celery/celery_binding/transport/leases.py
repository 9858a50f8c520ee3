"""The SQL of leases: renewed, run out, taken from the dead."""

from collections.abc import Sequence

from aiki_celery.celery_binding.transport import clock
from aiki_celery.celery_binding.transport.database import Database

_FREE = "UPDATE aiki_broker_messages SET lease_owner = NULL, lease_until = NULL"


class Leases:
    """The leases of one broker file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owners(self) -> list[str]:
        """Return everyone who holds a message."""
        with self._database.reading() as connection:
            query = "SELECT DISTINCT lease_owner FROM aiki_broker_messages WHERE lease_owner IS NOT NULL"
            return [owner for (owner,) in connection.execute(query)]

    def renew(self, owners: Sequence[str], lease_seconds: float) -> None:
        """Let the leases of these owners end `lease_seconds` from now."""
        until = clock.now() + clock.microseconds(lease_seconds)
        with self._database.writing(durable=False) as connection:
            connection.executemany(
                "UPDATE aiki_broker_messages SET lease_until = ? WHERE lease_owner = ?",
                [(until, owner) for owner in owners],
            )

    def free_owners(self, owners: Sequence[str]) -> int:
        """Make available what these owners hold and return how many messages that were."""
        with self._database.writing(durable=False) as connection:
            freed = connection.executemany(f"{_FREE} WHERE lease_owner = ?", [(owner,) for owner in owners])
            return freed.rowcount

    def free_expired(self) -> int:
        """Make available what was not renewed in time and return how many messages that were."""
        expired = "lease_owner IS NOT NULL AND lease_until < ?"
        with self._database.reading() as connection:
            query = f"SELECT 1 FROM aiki_broker_messages WHERE {expired} LIMIT 1"
            if connection.execute(query, (clock.now(),)).fetchone() is None:
                return 0
        with self._database.writing(durable=False) as connection:
            return connection.execute(f"{_FREE} WHERE {expired}", (clock.now(),)).rowcount
