"""Pages of the record: what stands after a position and is wanted, bounded in facts, bytes and looking. Blocking.

A page is read in one snapshot of the ledger. Facts are only ever appended, and their sequences have no gaps but those that a
damaged file left and a fact names (`FactsLost`), so what stands up to a position never changes, and every reader that goes on
from where it came to has seen every fact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Select, bindparam, case, func, select

from edge.ledger import straight
from edge.ledger.chain import leads_over
from edge.ledger.codec import Row as LedgerRow
from edge.ledger.schema import facts, meta, personal
from edge.ledger.store import SqlReader
from edge.mi.cursors import SHOWN_HASH
from edge.ports import LedgerError
from edge.views.reading import last_before

PAGE_FACTS = 5000
"""No page is longer."""
PAGE_BYTES = 8 * 1024 * 1024
"""Nor does it go on beyond this much of facts' bodies."""
LOOKED_THROUGH = 50_000
"""So many facts are looked through for one page, however few of them are wanted: the cursor goes on all the same."""
BLOCK = 2_000
VALUES_AT_ONCE = 500
CLOCK_MARGIN_US = 3_600_000_000
"""How far the machine's clock may have been set and a search by time still finds every fact."""

PLACING = {
    "CallArrived": "line",
    "CallQueued": "queue",
    "CallClassified": "queue",
    "CallUpgraded": "queue",
    "CallSentBack": "queue",
    "CallbackMoved": "queue",
}
"""Kinds of facts that say on which line a call came, or in which queue it is from there on."""


class Stored(NamedTuple):
    """A fact as it stands in the ledger, and what is kept of its personal data."""

    sequence: int
    kind: str
    monotonic_ns: int
    utc_us: int
    switch_utc_us: int | None
    clock: str
    reason: str
    call_id: str | None
    agent: str | None
    body: str
    personal_digest: str | None
    hash: str
    personal: str | None


KEPT = select(personal.c.body).where(personal.c.sequence == facts.c.sequence).scalar_subquery()
Row = tuple[Any, ...]
"""A `Stored`, or as much in a plain tuple: making the name costs a tenth of the time of a page."""
SEQUENCE, BODY, HASH_OF_IT = 0, 9, 11
_body = itemgetter(BODY)


COLUMNS: Select[Any] = select(*facts.c, case((facts.c.personal_digest.is_not(None), KEPT)))
"""Most facts have nothing personal, and are not looked up there."""
HASH = select(facts.c.hash).where(facts.c.sequence == bindparam("sequence"))
META = select(meta.c.ledger_id, meta.c.head_sequence, meta.c.head_hash, HASH.scalar_subquery())
KEPT_BETWEEN = select(func.count()).where(
    personal.c.sequence > bindparam("after"), personal.c.sequence <= bindparam("sequence")
)
MARK = META.add_columns(KEPT_BETWEEN.scalar_subquery())
TIME = (
    select(facts.c.utc_us)
    .where(facts.c.sequence >= bindparam("sequence"))
    .order_by(facts.c.sequence)
    .limit(1)
)
"""Of this fact, or where it was lost of the one that says so."""
NEXT = (
    COLUMNS.where(facts.c.sequence > bindparam("after")).order_by(facts.c.sequence).limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a reader wants of the facts; empty: all. Times are UTC in microseconds, `until` is not in it."""

    kinds: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    since_utc_us: int | None = None
    until_utc_us: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Facts, and where they end. `position`: everything wanted up to there has been given."""

    ledger_id: str
    facts: Sequence[Row]
    position: int
    hash: str
    """Beginning of the hash of the fact at the position."""
    head_sequence: int
    head_hash: str
    more: bool
    """Whether asking again at once may give more; false at the end of the record, or of the time asked for."""


SILENT = "the ledger says nothing of itself: it was tampered with"


class MovedError(Exception):
    """What the reader was told is not what the ledger holds; the message says how they differ."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader has come to: a cursor without its signature. `ledger_id` empty: at the beginning of whatever there is."""

    position: int = 0
    ledger_id: str = ""
    hash: str = ""


def read_page(reader: SqlReader, selection: Selection, start: Start, limit: int) -> Page:
    """The page after `start`. Raises `MovedError` when `start` is of another record, and `LedgerError`."""
    with reader.snapshot() as connection:
        ledger_id, head_sequence, head_hash = _meta(connection, start)
        position = start.position
        if position == 0 and selection.since_utc_us is not None:
            since_us = selection.since_utc_us - CLOCK_MARGIN_US
            position = last_before(since_us, head_sequence, partial(_time_at, connection))
        found: Sequence[Row]
        if selection.everything:
            whole = _whole(connection, position, limit)
            found, past = whole, False
            position = whole[-1][SEQUENCE] if whole else position
        else:
            found, position, past = _looked_through(connection, selection, position, limit, head_sequence)
        return Page(
            ledger_id=ledger_id,
            facts=found,
            position=position,
            hash=_hash_of_end(connection, found, position),
            head_sequence=head_sequence,
            head_hash=head_hash,
            more=position < head_sequence and not past,
        )


def anchors_of(reader: SqlReader, start: Start = Start()) -> tuple[str, int]:
    """The ledger's id, and the sequence of its newest fact. Raises `MovedError` when `start` is of another record."""
    with reader.snapshot() as connection:
        ledger_id, head_sequence, _ = _meta(connection, start)
    return ledger_id, head_sequence


def hash_at(reader: SqlReader, sequence: int) -> str:
    """Beginning of the hash of this fact, for a cursor; empty where there is none."""
    with reader.snapshot() as connection:
        return _hash_at(connection, sequence)


class Mark(NamedTuple):
    """What tells whether a page of the whole record would be read again as it was: facts never change, personal data goes."""

    ledger_id: str
    head_sequence: int
    head_hash: str
    hash: str
    """Beginning of the hash of the page's last fact."""
    kept: int
    """How many of its facts have personal data."""


def mark_of(reader: SqlReader, after: int, last: int) -> Mark:
    """Of the page of these facts, at this moment."""
    with reader.snapshot() as connection:
        found = connection.execute(MARK, {"after": after, "sequence": last}).one_or_none()
    if found is None:
        raise LedgerError(SILENT)
    ledger_id, head_sequence, head_hash, digest, kept = found
    return Mark(ledger_id, head_sequence, head_hash, _shown(digest), kept)


def _meta(connection: Connection, start: Start) -> tuple[str, int, str]:
    """The ledger's id and head. Raises `MovedError` when `start` is of another record."""
    found = connection.execute(META, {"sequence": start.position}).one_or_none()
    if found is None:
        raise LedgerError(SILENT)
    ledger_id, head_sequence, head_hash, digest = found
    if start.ledger_id and start.ledger_id != ledger_id:
        raise MovedError("it belongs to another ledger: this appliance has a new one")
    if start.position > head_sequence:
        raise MovedError("the ledger ends before it: an older copy of it was restored")
    if start.hash and start.hash != _shown(digest) and not _was_lost(connection, start.position):
        raise MovedError("the ledger holds another fact at this place than the one that was given")
    return ledger_id, head_sequence, head_hash


def _was_lost(connection: Connection, position: int) -> bool:
    """Whether the fact there, which was given once, is one that a damaged file of the ledger lost."""
    found = connection.execute(NEXT, {"after": position - 1, "limit": 1}).one_or_none()
    return found is not None and leads_over(LedgerRow(*found[:HASH_OF_IT]), position)


def _hash_of_end(connection: Connection, found: Sequence[Row], position: int) -> str:
    """Of the fact at the position, which with a selection need not be among those that were found."""
    if found and found[-1][SEQUENCE] == position:
        return _shown(found[-1][HASH_OF_IT])
    return _hash_at(connection, position)


def _hash_at(connection: Connection, position: int) -> str:
    return _shown(connection.execute(HASH, {"sequence": position}).scalar())


def _shown(digest: str | None) -> str:
    return "" if digest is None else digest[:SHOWN_HASH]


def _whole(connection: Connection, after: int, limit: int) -> Sequence[Row]:
    return _bounded(straight.rows(connection, NEXT, {"after": after, "limit": limit}))


R = TypeVar("R", bound=Row)


def _bounded(rows: list[R]) -> list[R]:
    """As many as fit a page, one at least."""
    if sum(map(len, map(_body, rows))) <= PAGE_BYTES:
        return rows
    sizes = accumulate(map(len, map(_body, rows)))
    return rows[: max(1, sum(1 for size in sizes if size <= PAGE_BYTES))]


def _looked_through(
    connection: Connection, selection: Selection, position: int, limit: int, head: int
) -> tuple[list[Stored], int, bool]:
    """Wanted facts, how far was looked, and whether the time asked for is past."""
    found: list[Stored] = []
    end = min(head, position + LOOKED_THROUGH)
    while position < end and len(found) < limit:
        upper = min(end, position + BLOCK)
        wanted = _wanted(connection, selection, position, upper)
        room = limit - len(found)
        found += wanted[:room]
        position = found[-1].sequence if len(wanted) >= room else upper
        if len(kept := _bounded(found)) < len(found):
            return kept, kept[-1].sequence, False
        if _past(connection, selection, position):
            return found, position, True
    return found, position, False


def _past(connection: Connection, selection: Selection, position: int) -> bool:
    if selection.until_utc_us is None:
        return False
    return _time_at(connection, position) > selection.until_utc_us + CLOCK_MARGIN_US


def _wanted(connection: Connection, selection: Selection, after: int, upper: int) -> list[Stored]:
    query = COLUMNS.where(facts.c.sequence > after, facts.c.sequence <= upper)
    if selection.kinds:
        query = query.where(facts.c.kind.in_(selection.kinds))
    if selection.since_utc_us is not None:
        query = query.where(facts.c.utc_us >= selection.since_utc_us)
    if selection.until_utc_us is not None:
        query = query.where(facts.c.utc_us < selection.until_utc_us)
    rows = list(map(Stored._make, straight.rows(connection, query.order_by(facts.c.sequence), {})))
    if not selection.lines and not selection.queues:
        return rows
    places = _Places(connection, {row.call_id for row in rows if row.call_id is not None})
    return [row for row in rows if _in_place(places, row, selection)]


def _in_place(places: _Places, row: Stored, selection: Selection) -> bool:
    line, queue = places.of(row)
    return (not selection.lines or line in selection.lines) and (
        not selection.queues or queue in selection.queues
    )


class _Place(msgspec.Struct, frozen=True):
    line: str | None = None
    queue: str | None = None


class _Places:
    """Lines and queues of these calls, as they were at each fact: a queue is the call's from the fact on that says so."""

    def __init__(self, connection: Connection, call_ids: Collection[str]) -> None:
        self._decode = msgspec.json.Decoder(_Place).decode
        self._lines: dict[str, str | None] = {}
        self._queues: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
        query = select(facts.c.sequence, facts.c.kind, facts.c.call_id, facts.c.body)
        query = query.where(facts.c.kind.in_(tuple(PLACING))).order_by(facts.c.sequence)
        for some in _portions(sorted(call_ids)):
            for sequence, kind, call_id, body in connection.execute(query.where(facts.c.call_id.in_(some))):
                place = self._decode(body)
                if PLACING[kind] == "line":
                    self._lines[call_id] = place.line
                else:
                    self._queues[call_id].append((sequence, place.queue))

    def of(self, row: Stored) -> tuple[str | None, str | None]:
        """Line and queue of the call of this fact; of a fact about no call the queue that it names itself."""
        if row.call_id is None:
            return None, self._decode(row.body).queue if '"queue"' in row.body else None
        known = self._queues.get(row.call_id, [])
        index = bisect_right(known, row.sequence, key=lambda place: place[0])
        return self._lines.get(row.call_id), known[index - 1][1] if index else None


def _portions(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), VALUES_AT_ONCE):
        yield values[start : start + VALUES_AT_ONCE]


def _time_at(connection: Connection, sequence: int) -> int:
    return int(connection.execute(TIME, {"sequence": sequence}).scalar() or 0)
