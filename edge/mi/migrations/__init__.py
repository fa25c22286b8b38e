"""Alembic's revisions of `mi.db`."""
