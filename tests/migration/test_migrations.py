"""The models equal the sum of the migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Index, Integer, inspect

from aiki_celery.journal import migrate
from aiki_celery.journal.connections import Connections
from aiki_celery.journal.schema import Schema

SCRIPTS = "aiki_celery:journal/migrations"


@contextmanager
def opened(url: str) -> Iterator[Connections]:
    """Connections, closed at the end."""
    connections = Connections(url)
    yield connections
    connections.close()


def difference(connections: Connections, schema: Schema) -> list[Any]:
    """What Alembic would write into a migration that makes the database fit the models."""
    names = {table.name for table in schema.metadata.tables.values()}

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "table" or name in names

    options: dict[str, Any] = {"include_name": ours, "version_table": schema.version_table}
    if schema.schema is not None:
        options |= {"include_schemas": True, "version_table_schema": schema.schema}
    with connections.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, schema.metadata))


def tables(connections: Connections, namespace: str | None = None) -> set[str]:
    """The names of the tables that are there."""
    return set(inspect(connections.engine).get_table_names(schema=namespace))


@pytest.mark.parametrize("prefix", ["aiki_", "shop_flow_", "p" * 30])
def test_models_equal_the_migrations(database_url: str, prefix: str) -> None:
    """Upgraded from nothing, the database is what the models say, under whatever prefix."""
    schema = Schema(prefix)
    with opened(database_url) as connections:
        migrate.upgrade(connections, schema)
        assert [] == difference(connections, schema)


@pytest.mark.postgres
def test_models_equal_the_migrations_in_another_schema(postgres_url: str) -> None:
    """On PostgreSQL, the tables may live in a schema of their own, and then nothing is outside it."""
    schema = Schema("flow_", "durable")
    with opened(postgres_url) as connections:
        with connections.transaction() as connection:
            connection.exec_driver_sql("CREATE SCHEMA durable")
        migrate.upgrade(connections, schema)
        assert ([], set(), migrate.HEAD) == (
            difference(connections, schema),
            tables(connections),
            migrate.current(connections, schema),
        )


def test_difference_is_noticed(database_url: str) -> None:
    """The judge's own test: a column and an index more in the models are found."""
    schema = Schema()
    with opened(database_url) as connections:
        migrate.upgrade(connections, schema)
        schema.runs.append_column(Column("novel", Integer()))
        Index("aiki_runs_novel", schema.runs.c.novel)
        assert {"add_column", "add_index"} == {found[0] for found in difference(connections, schema)}


def test_two_prefixes_share_a_database(database_url: str) -> None:
    """Two journals may live side by side; taking one down leaves the other."""
    one, other = Schema("one_"), Schema("two_")
    with opened(database_url) as connections:
        for schema in (one, other):
            migrate.upgrade(connections, schema)
        downgrade(connections, one)
        assert ([], None, migrate.HEAD) == (
            difference(connections, other),
            migrate.current(connections, one),
            migrate.current(connections, other),
        )


def downgrade(connections: Connections, schema: Schema) -> None:
    """Takes every migration back."""
    with connections.transaction() as connection:
        config = Config()
        config.set_main_option("script_location", SCRIPTS)
        config.attributes.update(connection=connection, schema=schema)
        command.downgrade(config, "base")


def test_downgrade_leaves_nothing_but_the_empty_version_table(database_url: str) -> None:
    """What upgrade made, downgrade takes away, and upgrade can make it again."""
    schema = Schema()
    with opened(database_url) as connections:
        migrate.upgrade(connections, schema)
        downgrade(connections, schema)
        assert {schema.version_table} == tables(connections)
        assert migrate.HEAD == migrate.upgrade(connections, schema)
        assert [] == difference(connections, schema)


def test_upgrade_of_what_is_up_to_date_changes_nothing(database_url: str) -> None:
    """The command may be given at every deploy."""
    schema = Schema()
    with opened(database_url) as connections:
        assert [migrate.HEAD, migrate.HEAD] == [migrate.upgrade(connections, schema) for _ in range(2)]


def test_head_is_the_newest_script() -> None:
    """The revision the package asks for is the last one it ships, and there is one line of them."""
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    assert [migrate.HEAD] == list(ScriptDirectory.from_config(config).get_heads())
