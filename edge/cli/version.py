"""`edge version`."""

from __future__ import annotations

import click

from edge.cli.output import emit, json_option


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """What is installed."""
    import platform
    import sqlite3

    from edge.version import VERSION

    versions = {"edge": VERSION, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    if as_json:
        emit(versions)
    else:
        click.echo(f"edge {VERSION} (Python {versions['python']}, SQLite {versions['sqlite']})")
