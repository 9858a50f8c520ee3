"""Where the databases differ: the clock, column types, locks, errors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

#: Error numbers of MariaDB and MySQL that a second try may mend: deadlock, lock wait timeout, record changed, shutdown.
_MYSQL_TRANSIENT = frozenset({1205, 1213, 1020, 1053, 1040, 1203, 2002, 2003, 2006, 2013, 2014})
#: Those of them by which a transaction was rolled back as a whole: deadlock, record changed.
_MYSQL_UNDONE = frozenset({1213, 1020})
#: SQLSTATE classes and codes of PostgreSQL that a second try may mend: connection, rollback, shutdown, limits, lock.
_POSTGRES_TRANSIENT = ("08", "40", "57P", "53", "55P03", "25006")
#: The statement's beginning on MariaDB and MySQL. UNIX_TIMESTAMP(NOW(6)) would go by the session's time zone.
_MYSQL_ASKED = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
#: What errors without a code say that no second try mends: SQLite's, and libpq's own of a statement it did not send.
_MISUSE = (
    "no such",
    "syntax error",
    "readonly",
    "unable to open",
    "disk is full",
    "too many SQL variables",
    "number of parameters must be between",
)


class db_now(FunctionElement[int]):
    """The database's clock as whole microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True
    name = "aiki_now"


@compiles(db_now, "postgresql")
def _postgres_now(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(db_now, "mysql")
@compiles(db_now, "mariadb")
def _mysql_now(element: Any, compiler: Any, **options: Any) -> str:
    # SYSDATE alone moves within a statement, and tells the session's time, in which an hour may come twice. NOW tells
    # the beginning in the same time: between the two lies what has passed, in every zone. Only for a statement that is
    # under way while the clocks are put forward it is an hour more; when they are put back, the beginning holds.
    return f"({_MYSQL_ASKED} + GREATEST(TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)), 0))"


@compiles(db_now, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **options: Any) -> str:
    # SQLite has no clock of its own; connections carry this function (see engine.py).
    return "aiki_now()"


class db_asked(FunctionElement[int]):
    """The instant at which the statement began, for comparisons: as it does not change, an index can be searched by it.

    Never later than :class:`db_now`, so nothing that is compared with it counts as due too early.
    """

    type = BigInteger()
    inherit_cache = True
    name = "aiki_asked"


@compiles(db_asked, "postgresql")
def _postgres_asked(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)"


@compiles(db_asked, "mysql")
@compiles(db_asked, "mariadb")
def _mysql_asked(element: Any, compiler: Any, **options: Any) -> str:
    return _MYSQL_ASKED


@compiles(db_asked, "sqlite")
def _sqlite_asked(element: Any, compiler: Any, **options: Any) -> str:
    return "aiki_now()"


def key_text(length: int) -> Any:
    """Give a column type for text that is compared: byte by byte, but for spaces at the end.

    MariaDB and MySQL do not count those, whatever the collation, so no text that others choose may end in one.
    """
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def payload_text() -> Any:
    """Give a column type for JSON text of any length."""
    return Text().with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def instant() -> Any:
    """Give a column type for an instant in microseconds."""
    return BigInteger()


def small_number() -> Any:
    """Give a column type for a count."""
    return Integer()


def reads_the_past(dialect: str) -> bool:
    """Tell whether a transaction may lock a row and yet read others as they were when it began.

    MariaDB and MySQL let it; PostgreSQL refuses the lock, and SQLite the write.
    """
    return dialect in ("mysql", "mariadb")


def has_snapshots(connection: Connection) -> bool:
    """Tell whether a connection's transaction reads what it has not locked as it was at its first look."""
    return reads_the_past(connection.dialect.name) and connection.get_isolation_level() not in (
        "READ COMMITTED",
        "READ UNCOMMITTED",
    )


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may mend an error: a lost connection, a deadlock, a wait for a lock or the pool."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout)
    if error.connection_invalidated:
        return True
    if isinstance(error, IntegrityError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    if isinstance(code, str):
        return code.startswith(_POSTGRES_TRANSIENT)
    arguments = getattr(error.orig, "args", ())
    if arguments and isinstance(arguments[0], int):
        return arguments[0] in _MYSQL_TRANSIENT
    return isinstance(error, (OperationalError, InterfaceError)) and not _is_misuse(str(error.orig))


def has_undone(error: BaseException, connection: Any) -> bool:
    """Tell whether an error of the database has undone the whole transaction, savepoints or not, or will not let it on.

    Args:
        error: The error, SQLAlchemy's own.
        connection: Where it came up.
    """
    if not isinstance(error, DBAPIError):
        return False
    code, arguments = getattr(error.orig, "sqlstate", None), getattr(error.orig, "args", ())
    if isinstance(code, str):
        return code.startswith("40")
    if arguments and isinstance(arguments[0], int):
        return arguments[0] in _MYSQL_UNDONE
    # SQLite gives a transaction up when the disk is full, say.
    return not getattr(connection.connection.dbapi_connection, "in_transaction", True)


def _is_misuse(message: str) -> bool:
    """Tell by the text, where SQLite or psycopg gives no code, whether it would be the same the next time."""
    return any(text in message for text in _MISUSE)
