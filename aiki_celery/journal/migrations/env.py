"""Alembic's environment: runs the revisions on the connection it is given, under the journal's prefix and schema."""

from alembic import context

schema = context.config.attributes["schema"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    version_table_schema=schema.schema,
)
with context.begin_transaction():
    context.run_migrations()
