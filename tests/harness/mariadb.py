"""MariaDB as a child process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pymysql

from tests.harness.binaries import require_binary
from tests.harness.server import Server


class MariaDBServer(Server):
    """One data folder; `options` are server options such as `"--max-connections=20"`."""

    name = "mariadb"

    def prepare(self) -> None:
        """Creates the system tables."""
        install = require_binary("mariadb-install-db", "mysql_install_db", package="mariadb-server")
        subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *self._as_root(),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )

    def command(self) -> list[str | Path]:
        """Durable as delivered (`innodb_flush_log_at_trx_commit=1`), and small."""
        return [
            require_binary("mariadbd", "mysqld", package="mariadb-server"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'mariadb.sock'}",
            f"--pid-file={self.folder / 'mariadb.pid'}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
            "--default-time-zone=+00:00",
            "--skip-log-bin",
            *self._as_root(),
            *self.options,
        ]

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return self.database_url("mysql")

    def database_url(self, name: str) -> str:
        """For SQLAlchemy with PyMySQL."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4"

    def is_ready(self) -> bool:
        """Whether a query is answered."""
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        """Creates an empty database and returns its URL."""
        self.ensure_running()
        name = self.next_name()
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.database_url(name)

    def drop_database(self, url: str) -> None:
        """Ends the connections of whoever uses the database, then drops it."""
        name = url.rpartition("/")[2].partition("?")[0]
        for (thread,) in self.execute("SELECT id FROM information_schema.processlist WHERE db = %s", name):
            try:
                self.execute("KILL %s", thread)
            except pymysql.OperationalError:
                continue
        self.execute(f"DROP DATABASE `{name}`")

    def execute(self, statement: str, *parameters: object) -> tuple[tuple[object, ...], ...]:
        """One statement, outside the tested code, as root; returns its rows."""
        with (
            pymysql.connect(
                host="127.0.0.1", port=self.port, user="root", connect_timeout=5, autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, parameters or None)
            return tuple(cursor.fetchall())

    def _as_root(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []
