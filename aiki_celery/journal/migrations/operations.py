"""What upgrades are made of: operations that can be begun again.

On MariaDB and MySQL each change of a table commits by itself. An upgrade that breaks off leaves what it has made, at
the old revision, and the next one passes over what is there. PostgreSQL and SQLite undo it as a whole: what is there
already is somebody else's, and an error.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


def add_table(name: str, *parts: Any, namespace: str | None, **options: Any) -> None:
    """Make a table, of columns and constraints."""
    if not _has_table(name, {part.name for part in parts if isinstance(part, sa.Column)}, namespace):
        op.create_table(name, *parts, schema=namespace, **options)


def add_column(table: str, column: sa.Column[Any], namespace: str | None) -> None:
    """Add a column."""
    found = _look()
    if found is None or column.name not in _columns(found, table, namespace):
        op.add_column(table, column, schema=namespace)


def add_index(
    name: str,
    table: str,
    columns: list[str],
    namespace: str | None,
    *,
    where: str | None = None,
    unique: bool = False,
) -> None:
    """Make an index; ``where`` says of which rows, on databases that can leave others out."""
    if _indexed(name, table, namespace) == columns:
        return
    options: dict[str, Any] = (
        {} if where is None else {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    )
    op.create_index(name, table, columns, unique=unique, schema=namespace, **options)


def drop_index(name: str, table: str, namespace: str | None) -> None:
    """Drop an index."""
    if _look() is None or _indexed(name, table, namespace) is not None:
        op.drop_index(name, table, schema=namespace)


def replace_index(
    name: str, table: str, columns: list[str], namespace: str | None, *, where: str | None = None
) -> None:
    """Make an index anew, with these columns."""
    if _indexed(name, table, namespace) != columns:
        drop_index(name, table, namespace)
        add_index(name, table, columns, namespace, where=where)


def _look() -> sa.Inspector | None:
    """Give a look at what is there, or None on a database that undoes an upgrade as a whole."""
    connection = op.get_bind()
    return sa.inspect(connection) if connection.dialect.name in ("mysql", "mariadb") else None


def _has_table(name: str, columns: set[str], namespace: str | None) -> bool:
    found = _look()
    if found is None or not found.has_table(name, schema=namespace):
        return False
    # A table without these columns is another program's: the database says so when it is to be made.
    return columns <= _columns(found, name, namespace)


def _columns(found: sa.Inspector, table: str, namespace: str | None) -> set[str]:
    return {column["name"] for column in found.get_columns(table, schema=namespace)}


def _indexed(name: str, table: str, namespace: str | None) -> list[str | None] | None:
    """Give the columns of an index that is there; None if it is not, or nobody is to look."""
    found = _look()
    if found is None:
        return None
    indexes = found.get_indexes(table, schema=namespace)
    return next((list(index["column_names"]) for index in indexes if index["name"] == name), None)
