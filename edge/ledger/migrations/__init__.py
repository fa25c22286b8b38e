"""Bringing a ledger's schema up to date, at open, in the caller's transaction: it is migrated whole or left as it was."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def alembic_config(location: Path | None = None) -> Config:
    """Alembic's configuration without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(location or Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(connection: Connection, location: Path | None = None) -> None:
    """Run every revision that this ledger has not seen."""
    config = alembic_config(location)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
