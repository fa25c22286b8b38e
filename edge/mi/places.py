"""Where `edge mi` keeps what is its own."""

from __future__ import annotations

from pathlib import Path

from edge.errors import PermanentError
from edge.views.caller import key_file


def directory_of(ledger_url: str, given: Path | None = None) -> Path:
    """`[mi] directory` if it is given, else the folder `mi` beside the ledger's file. Raises `PermanentError` without either."""
    if given is not None:
        return given
    beside = key_file(ledger_url)
    if beside is None:
        raise PermanentError(
            "the ledger is no file, so there is no folder beside it for MI's own files."
            ' Add: [mi] directory = "/var/lib/edge101/mi"'
        )
    return beside.parent / "mi"
