"""PostgreSQL as a child process."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from tests.harness.binaries import require_binary
from tests.harness.server import Server, unprivileged_user


class PostgresServer(Server):
    """One cluster; `options` are server settings such as `"max_connections=20"`."""

    name = "postgres"

    def prepare(self) -> None:
        """Creates the cluster. It refuses root, so its folder belongs to somebody else then."""
        initdb = require_binary("initdb", package="postgresql")
        if user := self.user():
            shutil.chown(self.folder, user)
        subprocess.run(
            [
                initdb,
                "-D",
                self.folder / "data",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "-N",
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=user,
            extra_groups=[] if user else None,
        )

    def user(self) -> str | None:
        """Never root."""
        return unprivileged_user("postgres", "nobody")

    def command(self) -> list[str | Path]:
        """Durable as delivered (fsync, synchronous_commit), and small."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            "shared_buffers=16MB",
            "max_connections=200",
            "timezone=UTC",
            "log_min_messages=warning",
            *self.options,
        )
        postgres = require_binary("postgres", package="postgresql")
        return [
            postgres,
            "-D",
            self.folder / "data",
            *(part for setting in settings for part in ("-c", setting)),
        ]

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """For SQLAlchemy with psycopg 3."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def is_ready(self) -> bool:
        """Whether a query is answered."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        """Creates an empty database and returns its URL."""
        self.ensure_running()
        name = self.next_name()
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.database_url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database whoever is connected to it."""
        name = url.rpartition("/")[2]
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: str | sql.Composed) -> None:
        """One statement, outside the tested code, as the superuser."""
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5",
            autocommit=True,
        ) as connection:
            connection.execute(statement)
