"""What is done to the record beside writing facts: erasing under legal holds, all of it audited in the same transaction.

The audit is a chain of its own, made as that of the facts is: an entry that was changed, taken out or put in is found. Nothing of
a caller's stands in it: an erasure that named its number again would have erased nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update

from edge.ledger.chain import netstrings
from edge.ledger.schema import audit, checkpoints, erased, facts, holds, personal
from edge.ports import LedgerError

AT_ONCE = 500
"""Bound on the values of one statement: SQLite takes no more than 999 in its older releases."""
EXTENSION_DIGITS = 5
"""Digits that are no more are an extension: the agent's whom it belongs to, in every state, and nothing of a caller's."""
REMEMBERED = 4096
"""Personal fields whose numbers are remembered: more than one transaction erases."""


class Warrant(NamedTuple):
    """In whose name something is done to the record, and why."""

    who: str
    why: str


class AuditEntry(NamedTuple):
    """One thing that was done. `detail`: JSON. The columns that the hash covers, in order, and the hash."""

    number: int
    utc_us: int
    who: str
    what: str
    why: str
    detail: str
    hash: str


class Erased(NamedTuple):
    """The personal data of the fact with this sequence was erased, by that entry of the audit."""

    position: int
    sequence: int
    audit: int


class HeldError(LedgerError):
    """What was to be erased is under a legal hold: nothing was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What may not be erased: one caller's number, one call, or everything of a period (in UTC microseconds, both ends in it)."""

    hold: int
    since_utc_us: int
    by: str
    why: str
    number: str | None = field(default=None, repr=False)
    """As `comparable` writes it; None once the hold is released."""
    call_id: str | None = None
    from_utc_us: int | None = None
    until_utc_us: int | None = None
    released_utc_us: int | None = None

    def covers(self, call_id: str | None, numbers: Collection[str], first_us: int, last_us: int) -> bool:
        """Whether it holds a call with these numbers, whose facts are of this time."""
        if self.released_utc_us is not None:
            return False
        if self.call_id is not None:
            return self.call_id == call_id
        if self.number is not None:
            return self.number in numbers
        begins = self.from_utc_us if self.from_utc_us is not None else first_us
        ends = self.until_utc_us if self.until_utc_us is not None else last_us
        return begins <= last_us and first_us <= ends


@lru_cache(REMEMBERED)
def numbers_in(body: str) -> frozenset[str]:
    """Every number in the personal fields of one fact, as `edge.numbering.comparable` writes it.

    That takes a tenth of a millisecond. It is remembered, so that whoever has looked before a transaction need not in it.
    """
    from edge.numbering import (
        comparable,
    )  # its tables take a tenth of a second to import; few commands need them

    values = msgspec.json.decode(body, type=dict[str, Any]).values()
    return frozenset(number for value in values if isinstance(value, str) and (number := comparable(value)))


def audit_genesis(ledger_id: str) -> str:
    """What the first entry of this ledger's audit follows."""
    return hashlib.sha256(netstrings(("edge101 audit", ledger_id))).hexdigest()


def audit_link(previous: str, entry: AuditEntry) -> str:
    """The hash of `entry` after an entry with the hash `previous`."""
    return hashlib.sha256(netstrings((previous, *entry[:-1]))).hexdigest()


def verify_audit(entries: Iterable[AuditEntry], ledger_id: str) -> str | None:
    """What is wrong at the first place where the audit does not hold, or None."""
    previous, last = audit_genesis(ledger_id), 0
    for entry in entries:
        if entry.number != last + 1:
            return f"entry {last + 1} of the audit is missing"
        if audit_link(previous, entry) != entry.hash:
            return f"entry {entry.number} of the audit is not what was recorded"
        previous, last = entry.hash, entry.number
    return None


class Maintenance:
    """One transaction of maintenance, whose turn has come (`Place.take_turn`). `ledger_id` begins the audit's chain."""

    def __init__(self, connection: Connection, ledger_id: str) -> None:
        self._connection = connection
        self._ledger_id = ledger_id

    def note(self, warrant: Warrant, what: str, **detail: object) -> int:
        """Write into the audit that this was done; returns the entry's number."""
        newest = select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
        last, previous = self._connection.execute(newest).first() or (0, audit_genesis(self._ledger_id))
        entry = AuditEntry(
            number=last + 1,
            utc_us=time.time_ns() // 1000,
            who=warrant.who,
            what=what,
            why=warrant.why,
            detail=msgspec.json.encode(detail, order="sorted").decode(),
            hash="",
        )
        entry = entry._replace(hash=audit_link(previous, entry))
        self._connection.execute(insert(audit), entry._asdict())
        return entry.number

    def erase(
        self, warrant: Warrant, what: str, sequences: Sequence[int] = (), call_ids: Sequence[str] = ()
    ) -> tuple[int, int]:
        """Delete the personal data of these entries and calls, and every checkpoint that holds one of them or the same data.

        Returns how many facts and checkpoints. Raises `HeldError` for what is under a hold, and then nothing is erased.
        """
        chosen = _personal(self._connection, sequences, call_ids)
        self._heed_holds(chosen)
        gone = sorted({row.sequence for row in chosen})
        for some in _some(gone):
            self._connection.execute(delete(personal).where(personal.c.sequence.in_(some)))
        forgotten = self._forget(chosen)
        asked = {"calls": list(call_ids)} if call_ids else {"sequences": len(sequences)}
        number = self.note(warrant, what, **asked, facts=len(gone), checkpoints=forgotten)
        last = self._connection.scalar(select(func.max(erased.c.position))) or 0
        rows = [Erased(last + place, sequence, number)._asdict() for place, sequence in enumerate(gone, 1)]
        if rows:
            self._connection.execute(insert(erased), rows)
        return len(gone), forgotten

    def hold(self, warrant: Warrant, wanted: Hold) -> int:
        """Put something under a hold; returns the hold's number. `wanted.hold` does not count."""
        number = (self._connection.scalar(select(func.max(holds.c.hold))) or 0) + 1
        row = {name: getattr(wanted, name) for name in holds.c.keys()}  # noqa: SIM118 - a collection, no dict
        self._connection.execute(
            insert(holds), {**row, "hold": number, "by": warrant.who, "why": warrant.why}
        )
        self.note(warrant, "hold", hold=number, of=_kind(wanted), call=wanted.call_id)
        return number

    def release(self, warrant: Warrant, number: int) -> None:
        """Let go of what this hold held; its caller's number goes with it. Raises `LedgerError` when there is no such hold."""
        open_hold = holds.c.hold == number, holds.c.released_utc_us.is_(None)
        now = time.time_ns() // 1000
        done = self._connection.execute(
            update(holds).where(*open_hold).values(released_utc_us=now, number=None)
        )
        if done.rowcount != 1:
            raise LedgerError(f"there is no hold {number} that could be released: see `edge hold list`")
        self.note(warrant, "release", hold=number)

    def _forget(self, rows: list[Row[Any]]) -> int:
        """Delete the checkpoints in whose bytes something of these stands; returns how many.

        The others stay: without any, a daemon that starts has the whole ledger to read.
        """
        needles = {needle for row in rows for needle in _needles(row)}
        states = self._connection.execute(select(checkpoints.c.sequence, checkpoints.c.state)) if rows else ()
        holding = [sequence for sequence, state in states if any(needle in state for needle in needles)]
        self._connection.execute(delete(checkpoints).where(checkpoints.c.sequence.in_(holding)))
        return len(holding)

    def _heed_holds(self, rows: list[Row[Any]]) -> None:
        """A period holds a call of which any fact is of it, as for retention. What is slow is done once, and only when asked."""
        holding = read_holds(self._connection)
        if not holding:
            return
        by_number = _is_by_number(holding)
        numbers = [numbers_in(row.body) if by_number else frozenset() for row in rows]
        spans = read_spans(self._connection, sorted({row.call_id for row in rows if row.call_id is not None}))
        for hold in holding:
            for row, its_numbers in zip(rows, numbers, strict=True):
                first_us, last_us = spans.get(row.call_id, (row.utc_us, row.utc_us))
                if hold.covers(row.call_id, its_numbers, first_us, last_us):
                    raise HeldError(
                        f"nothing erased: {row.call_id or f'entry {row.sequence}'} is under legal hold {hold.hold} "
                        f"({hold.why}); release it first: edge hold release {hold.hold}"
                    )


def read_holds(connection: Connection, *, released: bool = False) -> list[Hold]:
    """The holds that hold, and with `released` also those that no longer do."""
    wanted = select(holds).order_by(holds.c.hold)
    if not released:
        wanted = wanted.where(holds.c.released_utc_us.is_(None))
    return [Hold(**row) for row in connection.execute(wanted).mappings()]


def look_ahead(connection: Connection, sequences: Sequence[int], call_ids: Sequence[str]) -> None:
    """Before a transaction that is to erase this: read the numbers in it now, if holds will ask for them."""
    if _is_by_number(read_holds(connection)):
        for row in _personal(connection, sequences, call_ids):
            numbers_in(row.body)


def read_spans(connection: Connection, call_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Call -> of when its first and its last fact are."""
    found: dict[str, tuple[int, int]] = {}
    for some in _some(call_ids):
        times = select(facts.c.call_id, func.min(facts.c.utc_us), func.max(facts.c.utc_us))
        of_calls = times.where(facts.c.call_id.in_(some)).group_by(facts.c.call_id)
        found |= {call_id: (first, last) for call_id, first, last in connection.execute(of_calls)}
    return found


def _needles(row: Row[Any]) -> Iterator[bytes]:
    """What tells that a state knows of this: its call, and its personal data, as MessagePack writes both."""
    if row.call_id is not None:
        yield row.call_id.encode()
    for value in msgspec.json.decode(row.body, type=dict[str, Any]).values():
        if isinstance(value, str) and value and not (value.isdigit() and len(value) <= EXTENSION_DIGITS):
            yield value.encode()


def _personal(connection: Connection, sequences: Sequence[int], call_ids: Sequence[str]) -> list[Row[Any]]:
    of_facts: Select[Any] = select(facts.c.sequence, facts.c.call_id, facts.c.utc_us, personal.c.body)
    kept = of_facts.join_from(facts, personal)
    chosen = _chosen(sequences, call_ids)
    return [row for condition in chosen for row in connection.execute(kept.where(condition))]


def _is_by_number(holding: Iterable[Hold]) -> bool:
    return any(hold.number is not None for hold in holding)


def _kind(hold: Hold) -> str:
    if hold.call_id is not None:
        return "call"
    return "number" if hold.number is not None else "period"


def _chosen(sequences: Sequence[int], call_ids: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """Conditions on `facts`, each of bounded size."""
    for some in _some(sequences):
        yield facts.c.sequence.in_(some)
    for names in _some(call_ids):
        yield facts.c.call_id.in_(names)


def _some(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def read_audit(connection: Connection, after: int, limit: int) -> list[AuditEntry]:
    """Entries of the audit with a number greater than `after`, in order, at most `limit`."""
    wanted = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(limit)
    return [AuditEntry(*row) for row in connection.execute(wanted)]


def read_erased(connection: Connection, after: int, limit: int) -> list[Erased]:
    """What was erased at a position greater than `after`, in order, at most `limit`."""
    wanted = select(erased).where(erased.c.position > after).order_by(erased.c.position).limit(limit)
    return [Erased(*row) for row in connection.execute(wanted)]
