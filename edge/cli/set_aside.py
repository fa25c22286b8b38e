"""Damaged files of the ledger that were set aside, as commands that erase name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.cli import output

if TYPE_CHECKING:
    from edge.protection.set_aside import SetAside


def set_aside_json(files: Sequence[SetAside]) -> list[dict[str, Any]]:
    """In JSON."""
    return [
        {
            "file": file.path.name,
            "size_bytes": file.size_bytes,
            "lost": [{"first": loss.first, "last": loss.last, "why": loss.why} for loss in file.lost],
        }
        for file in files
    ]


def set_aside_lines(files: Sequence[SetAside]) -> list[str]:
    """In words: which, why they are there, and how to destroy them."""
    return [output.clean(_line(file)) for file in files]


def _line(file: SetAside) -> str:
    lost = ", ".join(f"{loss.first} to {loss.last}" for loss in file.lost)
    why = f"it was damaged ({file.lost[0].why}) and lost the facts {lost}" if lost else "it was damaged"
    return (
        f"NOT ERASED in {file.path.name} ({file.size_bytes} bytes): {why}; it was set aside and may have the same data. "
        f"Destroy it whole: edge ledger erase --set-aside {file.path.name} --why TEXT"
    )
