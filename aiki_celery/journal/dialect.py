"""Where the databases differ: the clock, column types, locks, errors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

#: Error numbers of MariaDB and MySQL that a second try may mend: deadlock, lock wait timeout, record changed, shutdown.
_MYSQL_TRANSIENT = frozenset({1205, 1213, 1020, 1053, 1040, 1203, 2002, 2003, 2006, 2013, 2014})
#: SQLSTATE classes and codes of PostgreSQL that a second try may mend: connection, rollback, shutdown, limits, lock.
_POSTGRES_TRANSIENT = ("08", "40", "57P", "53", "55P03", "25006")


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
    return "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"


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
    return "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"


@compiles(db_asked, "sqlite")
def _sqlite_asked(element: Any, compiler: Any, **options: Any) -> str:
    return "aiki_now()"


def key_text(length: int) -> Any:
    """Give a column type for text that is compared: byte by byte on every database."""
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


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may mend a database error: a lost connection, a deadlock, a lock held too long."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, TimeoutError)
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
    return isinstance(error, (OperationalError, InterfaceError)) and not _is_sqlite_misuse(str(error.orig))


def _is_sqlite_misuse(message: str) -> bool:
    return any(
        text in message for text in ("no such", "syntax error", "readonly", "unable to open", "disk is full")
    )
