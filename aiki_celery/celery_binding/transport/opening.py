"""Opening a broker file, with an error that names the remedy when it cannot be opened."""

import os
import sqlite3
from collections.abc import Sequence
from time import monotonic

from aiki_celery.celery_binding.transport import native
from aiki_celery.celery_binding.transport.failures import BrokerFileUnusable

BUSY_SECONDS = 30.0


def open_connection(path: str, schema: Sequence[str]) -> sqlite3.Connection:
    """Open the file in WAL mode and make the tables that are missing.

    Args:
        path: absolute.
        schema: statements that may be run again and again.

    Raises:
        BrokerFileUnusable: if the file cannot be opened, written, or is no database.
        sqlite3.OperationalError: if other processes kept it locked for `BUSY_SECONDS`.
    """
    _check(path)
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            return _open(path, schema)
        except sqlite3.OperationalError as error:
            # Switching to WAL and recovering it after a crash do not always honour the busy timeout.
            if not is_locked(error):
                raise _unusable(path, error) from error
            if monotonic() > deadline:
                raise
            native.sleep(0.05)
        except sqlite3.DatabaseError as error:
            raise _unusable(path, error) from error


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether another process was merely in the way."""
    return "locked" in str(error) or "busy" in str(error)


def _open(path: str, schema: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: str) -> None:
    # By the file's attributes only: opening and closing it would drop the locks SQLite holds in this process.
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise BrokerFileUnusable(
            path,
            f"the directory {directory!r} does not exist",
            f"Create it (mkdir -p {directory}) or name another file in broker_url.",
        )
    if os.path.isdir(path):
        raise BrokerFileUnusable(path, "it is a directory", "Name a file in it in broker_url.")
    for needed in (directory, path):
        if os.path.exists(needed) and not os.access(needed, os.W_OK):
            raise BrokerFileUnusable(
                path,
                f"this process may not write {needed!r}",
                "SQLite writes the file and two more beside it: give the user of this process the right to "
                "write both the file and its directory.",
            )


def _unusable(path: str, error: sqlite3.Error) -> BrokerFileUnusable:
    if "not a database" in str(error):
        return BrokerFileUnusable(
            path, "it is not a SQLite database", "Move it away, or name another file in broker_url."
        )
    return BrokerFileUnusable(
        path, f"SQLite says {str(error)!r}", "Check the file, its directory, the disk and their permissions."
    )
