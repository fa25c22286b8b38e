"""A ledger in memory, for tests and the simulator: the same rows, chain and refusals as on disk, and nothing durable."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from uuid import uuid4

from edge.core.facts import Entry
from edge.ledger import chain
from edge.ledger.chain import Anchors, Head
from edge.ledger.codec import Record, decode_entry
from edge.ports import LedgerError


class MemoryLedger:
    """The `Ledger` port over a list."""

    def __init__(self) -> None:
        self._ledger_id = uuid4().hex
        self._head = chain.genesis(self._ledger_id)
        self._records: list[Record] = []
        self._checkpoint: tuple[int, bytes] | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        """Keep all entries, or none. Raises `LedgerError`."""
        records, self._head = chain.extend(self._head, entries)
        self._records += records

    def read(self, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with sequence greater than `after`, in order, at most `limit`."""
        records, _ = self.page(after, limit)
        return [decode_entry(record.row, record.personal) for record in records]

    def read_call(self, call_id: str) -> Sequence[Entry]:
        """Every entry about this call, in order."""
        return [
            decode_entry(record.row, record.personal)
            for record in self._records
            if record.row.call_id == call_id
        ]

    def page(self, after: int | None, limit: int) -> tuple[Sequence[Record], Anchors]:
        """Records with sequence greater than `after`, and the anchors, for `verify_chain`."""
        start = 0 if after is None else bisect_right(self._records, after, key=attrgetter("row.sequence"))
        checkpoint = self._checkpoint[0] if self._checkpoint else 0
        return self._records[start : start + limit], Anchors(self._ledger_id, self._head, checkpoint, None)

    def last_sequence(self) -> int:
        """Sequence of the newest entry, 0 when empty."""
        return self._head.sequence

    def head(self) -> Head:
        """The newest entry's sequence and hash."""
        return self._head

    def tidy(self) -> None:
        """Nothing to do."""

    def save_checkpoint(self, sequence: int, state: bytes) -> None:
        """Keep the open state as of `sequence`."""
        if not 0 <= sequence <= self._head.sequence:
            raise LedgerError(f"no checkpoint at entry {sequence}: the last entry is {self._head.sequence}")
        self._checkpoint = (sequence, state)

    def load_checkpoint(self) -> tuple[int, bytes] | None:
        """The newest checkpoint, or None."""
        return self._checkpoint

    def erase(self, sequences: Sequence[int] = (), call_ids: Sequence[str] = ()) -> int:
        """Forget the personal data of these entries and calls, and the checkpoint. Returns how many entries had any."""
        erased = 0
        for place, record in enumerate(self._records):
            chosen = record.row.sequence in sequences or record.row.call_id in call_ids
            if chosen and record.personal is not None:
                self._records[place] = record._replace(personal=None)
                self._checkpoint = None
                erased += 1
        return erased

    def close(self) -> None:
        """Nothing to release."""
