"""The hash chain over the facts: making it, and finding the first place where it does not hold.

Each fact's hash is SHA-256 over the hash before it and every column of its row, each written as a netstring
(`length:bytes,`; a missing value is `-,`), so that no two rows have the same form. The first fact follows the digest of
the ledger's id, so that facts cannot be moved between ledgers. docs/adr/0004-ledger.md says what the chain can prove.

Where a damaged file lost facts, a fact says so in their place (`FactsLost`, ADR 0020): it is linked to the fact before them, and
it names the hash of the fact behind them, from which the chain goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from edge.core.facts import Entry, FactsLost
from edge.ledger.codec import Personal, Record, Row, decode_entry, encode_entry, personal_digest
from edge.ports import LedgerError

PAGE = 1000
SYNTHETIC = "synthetic"
"""With what the id of a ledger begins that was made up (`edge.ledger.synthesise`)."""


class Head(NamedTuple):
    """The newest fact's sequence and hash (hexadecimal). Written down elsewhere, it proves everything up to it."""

    sequence: int
    hash: str


class Anchors(NamedTuple):
    """What the ledger says of itself beside its facts, read in the same transaction as a page of them."""

    ledger_id: str
    head: Head
    checkpoint_sequence: int
    """0 without a checkpoint."""
    personal_sequences: tuple[int, int] | None
    """Lowest and highest sequence that personal data is kept for."""


class Chained(Protocol):
    """A ledger that shows its records and anchors as they are stored."""

    def page(self, after: int | None, limit: int) -> tuple[Sequence[Record], Anchors]:
        """Records with sequence greater than `after` (None: from the very first) in order, and the anchors."""


class Damage(StrEnum):
    """What is wrong at the first place where the chain does not hold."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    PERSONAL_ALTERED = "personal altered"
    TRUNCATED = "truncated"
    ADDED = "added"
    REWRITTEN = "rewritten"
    """Whole in itself, but not what it was when its head was written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found. `count`: facts that hold, `erased`: how many of them had their personal data erased."""

    count: int
    erased: int
    head: Head
    """The last fact that holds."""
    holes: tuple[tuple[int, int], ...] = ()
    """First and last of each run of facts that a damaged file lost: named in the record itself, and no fault of the chain."""
    damage: Damage | None = None
    broken_at: int | None = None
    """Sequence of the first fact that does not hold."""
    explanation: str = "the chain holds"

    @property
    def sound(self) -> bool:
        """Whether every fact holds."""
        return self.damage is None


class BrokenError(Exception):
    """The chain does not hold here; becomes a `Verification`."""

    def __init__(self, damage: Damage, sequence: int, explanation: str) -> None:
        super().__init__(explanation)
        self.damage, self.sequence, self.explanation = damage, sequence, explanation


def is_synthetic(ledger_id: str) -> bool:
    """Whether a ledger of this id was made up."""
    return ledger_id.startswith(SYNTHETIC)


def genesis(ledger_id: str) -> Head:
    """The head of an empty ledger."""
    return Head(0, hashlib.sha256(netstrings(("edge101 ledger", ledger_id))).hexdigest())


def link(previous: str, row: Row) -> str:
    """The hash of `row` after a fact with the hash `previous`."""
    return hashlib.sha256(netstrings((previous, *row))).hexdigest()


def netstrings(values: Sequence[str | int | None]) -> bytes:
    """Each value as `length:bytes,`, and `-,` for None: no two rows have the same form. Lengths are those of UTF-8."""
    texts = [None if value is None else str(value) for value in values]
    form = "".join(["-," if text is None else f"{len(text)}:{text}," for text in texts])
    if form.isascii():  # nearly always; and then a character is a byte
        return form.encode()
    return b"".join(b"-," if text is None else _netstring(text.encode()) for text in texts)


def _netstring(text: bytes) -> bytes:
    return b"%d:%b," % (len(text), text)


def extend(head: Head, entries: Sequence[Entry]) -> tuple[list[Record], Head]:
    """The records that hold `entries` after `head`, and the new head. Raises `LedgerError` if they do not follow it."""
    records: list[Record] = []
    for entry in entries:
        if entry.sequence != head.sequence + 1:
            raise LedgerError(
                f"entry {entry.sequence} does not follow entry {head.sequence}: nothing was appended; "
                f"the next sequence is {head.sequence + 1}"
            )
        row, personal = encode_entry(entry)
        head = Head(row.sequence, link(head.hash, row))
        records.append(Record(row, head.hash, personal))
    return records, head


def verify_chain(
    ledger: Chained,
    progress: Callable[[int, int], None] | None = None,
    known_head: Head | None = None,
) -> Verification:
    """Recompute the whole chain, page by page. `progress(done, total)` is called after each page.

    `known_head`: a head written down earlier, against a chain that was recomputed as a whole.
    """
    count = erased = 0
    holes: list[tuple[int, int]] = []
    _, anchors = ledger.page(None, 0)
    head = genesis(anchors.ledger_id)
    try:
        for records, anchors in _pages(ledger):
            for record in records:
                check(ledger, head, record)
                if (hole := hole_of(record.row)) is not None:
                    holes.append((max(hole.first, head.sequence + 1), record.row.sequence))
                head = head_after(record.row, record.hash)
                count += 1
                erased += record.erased
                _check_known(head, known_head)
            if progress:
                progress(count, max(count, anchors.head.sequence))
        _check_end(head, anchors, known_head)
    except BrokenError as broken:
        return Verification(
            count=count,
            erased=erased,
            head=head,
            holes=tuple(holes),
            damage=broken.damage,
            broken_at=broken.sequence,
            explanation=broken.explanation,
        )
    return Verification(count=count, erased=erased, head=head, holes=tuple(holes), explanation=_holds(holes))


def _holds(holes: Sequence[tuple[int, int]]) -> str:
    if not holes:
        return "the chain holds"
    which = ", ".join(f"{first} to {last}" for first, last in holes)
    return (
        f"the chain holds, but for what a damaged file lost: entries {which}. The entry after each stands as it was found, and "
        "only a head written down earlier proves what stands before"
    )


def _pages(ledger: Chained, after: int | None = None) -> Iterator[tuple[Sequence[Record], Anchors]]:
    """Every page up to the one that was not full; its anchors are those of the end."""
    while True:
        records, anchors = ledger.page(after, PAGE)
        yield records, anchors
        if len(records) < PAGE:
            return
        after = records[-1].row.sequence


def check(ledger: Chained, head: Head, record: Record) -> None:
    """Raises `BrokenError` when `record` is not what was recorded after `head`, or its personal data is not."""
    sequence = record.row.sequence
    expected = head.sequence + 1
    hole = hole_of(record.row)
    if hole is not None and hole.first <= expected <= sequence:
        _check_hole(head, hole, record)
        return
    if sequence > expected:
        last = sequence - 1
        which = f"entry {expected} is" if last == expected else f"entries {expected} to {last} are"
        raise BrokenError(Damage.MISSING, expected, f"{which} missing")
    if sequence < expected:
        raise BrokenError(Damage.ADDED, sequence, f"entry {sequence} stands before the first")
    if link(head.hash, record.row) != record.hash and not _stands_as_found(ledger, record):
        raise _changed_or_moved(ledger, head, record)
    _check_personal(record.row, record.personal)


def hole_of(row: Row) -> FactsLost | None:
    """What this row says of facts that were lost, where it says that."""
    if row.kind != FactsLost.__name__:
        return None
    with suppress(LedgerError):
        fact = decode_entry(row, None).fact
        return fact if isinstance(fact, FactsLost) else None
    return None


def head_after(row: Row, digest: str) -> Head:
    """What the fact after this one is linked to: whoever has the lost fact itself goes on from the same hash."""
    hole = hole_of(row)
    return Head(row.sequence, hole.lost_hash if hole is not None and hole.lost_hash else digest)


def leads_over(row: Row, sequence: int) -> bool:
    """Whether this row says that the fact at `sequence` was lost."""
    hole = hole_of(row)
    return hole is not None and hole.first <= sequence <= row.sequence


def _check_hole(head: Head, hole: FactsLost, record: Record) -> None:
    """Whoever has more of the record than the damaged file had cannot be held against the fact before the hole."""
    sequence = record.row.sequence
    if link(hole.previous_hash, record.row) != record.hash:
        raise BrokenError(Damage.CHANGED, sequence, f"entry {sequence} is not what was recorded")
    if hole.first == head.sequence + 1 and hole.previous_hash != head.hash:
        raise BrokenError(
            Damage.CHANGED, head.sequence, f"entry {head.sequence} is not the one before the lost entries"
        )


def _stands_as_found(ledger: Chained, record: Record) -> bool:
    """Whether the record before it names its hash, as what it was linked to was lost."""
    before = record.row.sequence - 1
    records, _ = ledger.page(before - 1, 1)
    hole = hole_of(records[0].row) if records and records[0].row.sequence == before else None
    return hole is not None and hole.next_hash == record.hash


def _changed_or_moved(ledger: Chained, head: Head, record: Record) -> BrokenError:
    """Which of the two: a record further on that would hold here was moved away from here."""
    sequence = record.row.sequence
    for records, _ in _pages(ledger, sequence):
        for later in records:
            if link(head.hash, later.row._replace(sequence=sequence)) == later.hash:
                where = f"what was recorded as entry {sequence} now stands as entry {later.row.sequence}"
                return BrokenError(Damage.REORDERED, sequence, where)
    return BrokenError(Damage.CHANGED, sequence, f"entry {sequence} is not what was recorded")


def _check_personal(row: Row, personal: Personal | None) -> None:
    if personal is None:
        return
    if row.personal_digest is None:
        raise BrokenError(
            Damage.PERSONAL_ALTERED, row.sequence, f"personal data was added to entry {row.sequence}"
        )
    if personal_digest(personal.salt, personal.body) != row.personal_digest:
        raise BrokenError(
            Damage.PERSONAL_ALTERED,
            row.sequence,
            f"the personal data of entry {row.sequence} is not what was recorded",
        )


def _check_known(head: Head, known_head: Head | None) -> None:
    if known_head is not None and head.sequence == known_head.sequence and head != known_head:
        raise BrokenError(
            Damage.REWRITTEN,
            head.sequence,
            f"entry {head.sequence} had another hash when it was written down",
        )


def _check_end(head: Head, anchors: Anchors, known_head: Head | None) -> None:
    last = head.sequence
    reached = max(
        anchors.head.sequence, anchors.checkpoint_sequence, known_head.sequence if known_head else 0
    )
    if reached > last:
        raise BrokenError(Damage.TRUNCATED, last + 1, f"entries {last + 1} to {reached} were cut off the end")
    if anchors.head.sequence < last:
        raise BrokenError(
            Damage.ADDED,
            anchors.head.sequence + 1,
            f"entries {anchors.head.sequence + 1} to {last} were added behind the recorded head",
        )
    if anchors.head != head:
        raise BrokenError(Damage.CHANGED, last, f"the recorded head is not the hash of entry {last}")
    lowest, highest = anchors.personal_sequences or (1, last)
    if lowest < 1 or highest > last:
        stray = lowest if lowest < 1 else highest
        raise BrokenError(Damage.PERSONAL_ALTERED, stray, f"personal data is kept for no entry {stray}")
