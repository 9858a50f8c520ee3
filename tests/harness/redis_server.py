"""Redis as a child process."""

from __future__ import annotations

from pathlib import Path

import redis

from tests.harness.binaries import require_binary
from tests.harness.server import Server

DATABASES = 4096


class RedisServer(Server):
    """One server; `options` are arguments such as `"--maxmemory", "16mb"`."""

    name = "redis"

    def prepare(self) -> None:
        """Nothing: an empty folder is an empty Redis."""

    def command(self) -> list[str | Path]:
        """With an append-only file synced at every write, so that nothing acknowledged is lost."""
        return [
            require_binary("redis-server", package="redis-server"),
            *("--bind", "127.0.0.1"),
            *("--port", str(self.port)),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "yes"),
            *("--appendfsync", "always"),
            *("--databases", str(DATABASES)),
            *self.options,
        ]

    @property
    def url(self) -> str:
        """Of database 0."""
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """For Celery's broker and result backend and for the client."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def is_ready(self) -> bool:
        """Whether it answers and has loaded its data."""
        try:
            with redis.Redis(port=self.port, socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def new_database(self) -> str:
        """The URL of a database number that nobody has used."""
        self.ensure_running()
        self._counter += 1
        assert self._counter < DATABASES, "every database number of this server has been used"
        return self.database_url(self._counter)

    def drop_database(self, url: str) -> None:
        """Empties a database."""
        with redis.Redis.from_url(url) as client:
            client.flushdb()
