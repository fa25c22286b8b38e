"""Alembic runs this file: it migrates over the connection that `upgrade` was given, inside that transaction."""

from __future__ import annotations

from alembic import context

from edge.mi.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
