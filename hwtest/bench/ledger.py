"""The lab's ledger, read beside its daemon."""

from __future__ import annotations

from edge.core.facts import Entry
from edge.ledger.store import SqlReader


def entries_after(reader: SqlReader, sequence: int) -> list[Entry]:
    """Every entry after `sequence` that is there now."""
    entries = list[Entry]()
    while page := reader.read(entries[-1].sequence if entries else sequence):
        entries += page
    return entries
