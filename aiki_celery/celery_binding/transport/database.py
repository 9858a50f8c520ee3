"""The one SQLite connection of a process to a broker file: threads share it, forked children never do."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiki_celery.celery_binding.transport import native, schema
from aiki_celery.celery_binding.transport.opening import open_connection


class Database:
    """Transactions on one broker file. Get it from `database_for`, so that a process has one per file.

    Every method may be called from any thread. `version` tells cheaply whether anything changed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = native.new_lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._openings = 0
        self._changes_here = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for single statements that only read."""
        with self._lock:
            yield self._opened()

    @contextmanager
    def writing(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a write transaction, committed at the end, rolled back on an error.

        Args:
            durable: wait for the disk. Without it a power failure may undo the last transactions: harmless
                for leases and acknowledgements, whose loss only means that a message is delivered again.
        """
        with self._lock:
            connection = self._opened()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._changes_here += 1

    def version(self) -> tuple[int, int, int]:
        """Return a value that differs from an earlier one if any process may have written since."""
        with self.reading() as connection:
            (others,) = connection.execute("PRAGMA data_version").fetchone()
            return self._openings, self._changes_here, others

    def reopen_if_replaced(self) -> None:
        """Close the connection if the file was deleted or replaced; the next use opens the new one."""
        try:
            inode = os.stat(self.path).st_ino
        except OSError:
            inode = -1
        with self._lock:
            if self._connection is not None and inode != self._inode:
                self.close()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def before_fork(self) -> None:
        """Close and hold still: an inherited handle would share SQLite's lock table with this process."""
        self._lock.__enter__()
        self.close()

    def after_fork_in_parent(self) -> None:
        """Let the other threads go on."""
        self._lock.__exit__(None, None, None)

    def after_fork_in_child(self) -> None:
        """Start afresh: the threads that could wait for the old lock do not exist here."""
        self._lock = native.new_lock()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = open_connection(self.path, schema.STATEMENTS)
            self._inode = os.stat(self.path).st_ino
            self._openings += 1
            self._connection = connection
        return self._connection


_databases: dict[str, Database] = {}
_held_for_fork: dict[int, list[Database]] = {}


def database_for(path: str) -> Database:
    """Return the database of this process for a file, by its absolute path. It is not opened yet."""
    return _databases.setdefault(path, Database(path))


def _before_fork() -> None:
    held = _held_for_fork[threading.get_ident()] = list(_databases.values())
    for database in held:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _held_for_fork.pop(threading.get_ident(), []):
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    _held_for_fork.clear()
    for database in _databases.values():
        database.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
