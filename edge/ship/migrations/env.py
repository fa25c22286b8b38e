"""Alembic runs this file: it migrates the shared database over the connection that it was given, inside that transaction."""

from __future__ import annotations

from alembic import context

from edge.ship.schema import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
context.run_migrations()
