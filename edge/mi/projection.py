"""The projection: calls, tasks, agents' hours and holes, folded from facts as they come, in a file that can be deleted.

Everything in it follows from the ledger alone: deleting `projection.db` costs the time to fold again, and gives back the same
positions and versions, so that a reader's cursor outlives it. Each batch of facts is one transaction with the sequence it came
to, so a killed process goes on where it was, and two processes that fold at once do not harm each other. What is open is in the
file too: memory holds no more than the calls that changed lately. No caller's name or number is in it, only the keyed hash.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, select

from edge.core import facts
from edge.core.facts import KINDS, WRAP_UP_ENDS
from edge.core.model import ClockState, Instant
from edge.ledger import straight
from edge.ledger.codec import Row, decode_entry
from edge.ledger.schema import facts as ledger_facts
from edge.ledger.schema import personal
from edge.ledger.store import SqlReader
from edge.mi import blocks, columns
from edge.mi.columns import OPEN_US, SPAN_FIELDS, Rows
from edge.mi.folding import (
    AGENT_FACTS,
    HOLE_FACTS,
    MARK_FACTS,
    AgentFold,
    Desk,
    Hole,
    HoleFold,
    HoleRecord,
    Mark,
    MarkFold,
    MarkRecord,
    Span,
)
from edge.ports import LedgerError
from edge.views.caller import SHORTEST_SHOWN, caller_id
from edge.views.calls import CHANGES_ITS_CALL_ALONE, CallFold, fold_into
from edge.views.reading import Reader
from edge.views.record import CallRecord, TaskRecord
from edge.views.tasks import TASK_FACTS, fold_task

if TYPE_CHECKING:
    import numpy

    Columns = numpy.ndarray[Any, Any]

LAYOUT = 8
"""Of the file. One of another layout is deleted and folded again: raise it with every change of the fold or the tables."""
PAGE = 20_000
"""Facts in one transaction at most, while there is much to fold."""
KEPT_IN_MEMORY = 10_000
"""Calls; those that changed longest ago are let go, and read back when a fact about them comes."""
CONTACT_SECONDS = 1800
"""Who calls again this long after the last call of the same number arrived or ended has the same need: one contact."""
WAIT_SECONDS = 30.0
"""For another process that is folding."""
UNUSED_FACTS = frozenset(
    {"PhoneChanged", "AgentMissedOffers", "TrunkRested", "CallbackOfferingSet", "CallbackOfferingTurned"}
)
"""Kinds that change nothing here, and are not even decoded."""

TABLES = """
CREATE TABLE state (
    ledger_id TEXT NOT NULL, through INTEGER NOT NULL, through_hash TEXT NOT NULL, first_us INTEGER, last_us INTEGER,
    calls INTEGER NOT NULL
);
CREATE TABLE calls (
    number INTEGER PRIMARY KEY, call_id TEXT NOT NULL UNIQUE, position INTEGER NOT NULL, version INTEGER NOT NULL,
    through INTEGER NOT NULL, contact INTEGER NOT NULL, caller INTEGER NOT NULL, short INTEGER NOT NULL,
    in_progress INTEGER NOT NULL, promised INTEGER NOT NULL, arrived_us INTEGER NOT NULL, line TEXT NOT NULL,
    queue TEXT NOT NULL, tier INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE INDEX calls_by_position ON calls (position);
CREATE INDEX calls_by_contact ON calls (contact);
CREATE INDEX promised_by_position ON calls (position) WHERE promised;
CREATE TABLE columns (
    number INTEGER PRIMARY KEY, arrived_us INTEGER NOT NULL, over_us INTEGER NOT NULL, flat BLOB NOT NULL, work BLOB NOT NULL
);
CREATE INDEX columns_by_arrival ON columns (arrived_us);
CREATE INDEX columns_by_end ON columns (over_us, arrived_us);
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE TABLE callers (caller INTEGER PRIMARY KEY, contact INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE tasks (
    task_id TEXT PRIMARY KEY, position INTEGER NOT NULL, version INTEGER NOT NULL, through INTEGER NOT NULL,
    open INTEGER NOT NULL, caller INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE INDEX tasks_by_position ON tasks (position);
CREATE TABLE wrap_ups (agent TEXT PRIMARY KEY, call_id TEXT NOT NULL);
CREATE TABLE desks (agent TEXT PRIMARY KEY, signed_in_us INTEGER, reason TEXT, since_us INTEGER NOT NULL);
CREATE TABLE spans (
    started_us INTEGER NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL, ended_us INTEGER NOT NULL,
    PRIMARY KEY (started_us, agent, state)
) WITHOUT ROWID;
CREATE TABLE holes (
    sequence INTEGER PRIMARY KEY, hole TEXT NOT NULL, detail TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER,
    gap INTEGER, traced INTEGER NOT NULL
);
CREATE TABLE marks (
    sequence INTEGER PRIMARY KEY, mark TEXT NOT NULL, detail TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER
);
CREATE INDEX marks_by_time ON marks (started_us);
"""
TYPICAL = CallRecord(
    call_id="",
    line="",
    arrived_at=Instant(0, 0),
    queued_at=Instant(0, 0),
    adopted=False,
    number_withheld=False,
    caller_number=None,
    caller_name=None,
)
_DICTIONARY = msgspec.json.encode(TYPICAL)
_decode_call = msgspec.json.Decoder(CallRecord).decode
_decode_task = msgspec.json.Decoder(TaskRecord).decode


_ASIDE = frozenset({*HOLE_FACTS, *MARK_FACTS, *AGENT_FACTS, *TASK_FACTS})
"""Kinds of facts that are not, or not only, about a call."""
_WITH_NUMBERS = ("CallArrived", "TaskOpened")
_FactRow = tuple[int, str, int, int, str | None, str]
"""What folding needs of a fact: sequence, kind, both clocks, call, body. A tuple, as there are millions of them."""
_ROWS = (
    select(
        *(ledger_facts.c[name] for name in ("sequence", "kind", "monotonic_ns", "utc_us", "call_id", "body"))
    )
    .where(ledger_facts.c.sequence > bindparam("after"))
    .order_by(ledger_facts.c.sequence)
    .limit(bindparam("limit"))
)
_HASH = select(ledger_facts.c.hash).where(ledger_facts.c.sequence == bindparam("sequence"))
_PERSONAL = (
    select(personal.c.sequence, personal.c.body)
    .join_from(personal, ledger_facts)
    .where(
        personal.c.sequence > bindparam("after"),
        personal.c.sequence <= bindparam("last"),
        ledger_facts.c.kind.in_(_WITH_NUMBERS),
    )
)
_DECODERS = {name: msgspec.json.Decoder(kind).decode for name, kind in KINDS.items()}
_OF_ITS_CALL_ALONE = frozenset(kind.__name__ for kind in CHANGES_ITS_CALL_ALONE - _ASIDE)
"""Most facts: nothing else is to be done for them, nor to be looked for."""
_ENDED = facts.CallEnded.__name__
"""But for the caller's, who may call again."""


class _Page(NamedTuple):
    """Facts to fold, as they were at one moment."""

    ledger_id: str
    rows: Sequence[_FactRow]
    personal: dict[int, str]
    """By sequence: the personal fields of those that say who called."""
    last_hash: str


def _fact(row: _FactRow) -> facts.Fact:
    """The fact without names and numbers, which stay where they are. Raises `LedgerError` as `decode_entry` does.

    Quicker than that by half, as it does not look for fields that this version does not know.
    """
    sequence, kind, monotonic_ns, utc_us, call_id, body = row
    try:
        return _DECODERS[kind](body)
    except (KeyError, msgspec.MsgspecError):
        whole = Row(
            sequence, kind, monotonic_ns, utc_us, None, ClockState.UNKNOWN, "", call_id, None, body, None
        )
        return decode_entry(whole, None).fact


class ProjectionError(LedgerError):
    """The projection cannot be used; the message says what, where and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallVersion:
    """A call as of one fact. A call that changed comes again, further on and with a higher version."""

    position: int
    """Where it stands among the changes. It follows from the ledger alone, so a cursor made of it outlives this file."""
    call_id: str
    version: int
    """How many facts it was folded from."""
    through_sequence: int
    """The last of them."""
    in_progress: bool
    contact_id: int
    caller: str | None
    """The keyed hash of the number, as in `edge.views.caller`. None: withheld, or not known."""
    record: CallRecord
    """Without names and numbers: those are the ledger's alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskVersion:
    """A ring-back task as of one fact."""

    position: int
    version: int
    through_sequence: int
    caller: str | None
    record: TaskRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What metrics are computed from. `calls`, `work` and `spans` have the columns of `edge.mi.columns`."""

    calls: Rows
    work: Rows
    spans: Columns
    words: Sequence[str]
    """A text by its number in the columns."""
    holes: Sequence[HoleRecord]
    """All that touch the time asked for."""
    marks: Sequence[MarkRecord]
    """The same of what happened."""
    through: int
    """Sequence of the last fact in these figures."""
    first_us: int
    """When the record began: nothing is known of earlier."""
    last_us: int
    """When its last fact was made: nothing is known of later."""
    ledger_id: str


@dataclass(slots=True)
class _Kept:
    """A call in memory."""

    record: CallRecord
    number: int
    contact: int
    caller: int
    short: bool
    version: int = 0
    position: int = 0
    through: int = 0
    changed: bool = True

    def count(self, sequence: int, index: int) -> None:
        """A fact changed it; `index`: as the how manieth call."""
        self.version += 1
        self.position, self.through, self.changed = 2 * sequence + index, sequence, True


def projection_file(directory: Path) -> Path:
    """Where it stands in the folder of `edge mi`."""
    return directory / "projection.db"


class Projection:
    """Calls folded from facts, each with a version. Reading is safe from any thread, and folding from one at a time.

    `file`: None for one that lives as long as this object. `key`: that of `edge.views.caller`. Raises `ProjectionError`.
    """

    def __init__(self, reader: Reader, file: Path | None, key: bytes | None = None) -> None:
        self._reader = reader
        self._key = key
        self._folder = None if file is not None else tempfile.TemporaryDirectory(prefix="edge101-projection-")
        self.file = file if file is not None else Path(self._folder.name) / "projection.db"  # type: ignore[union-attr]
        self._folding = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._memory = _Memory()
        with _explained(self.file):
            self._writer = self._open()
        self._begin_afresh_if_other_ledger()

    # --- folding

    @property
    def through(self) -> int:
        """Sequence of the last fact folded."""
        with self._reading() as connection:
            return int(connection.execute("SELECT through FROM state").fetchone()[0])

    @property
    def ledger_id(self) -> str:
        """Of the ledger that it is folded from."""
        with self._reading() as connection:
            return str(connection.execute("SELECT ledger_id FROM state").fetchone()[0])

    def advance(self, budget_facts: int = PAGE) -> int:
        """Fold what is new, at most so many facts; how many that was. 0: level with the ledger."""
        done = 0
        with self._folding, _explained(self.file):
            while done < budget_facts:
                folded = self._fold_page(min(PAGE, budget_facts - done))
                done += folded
                if folded == 0:
                    break
        return done

    def catch_up(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Fold everything that there is, and gather it where it is kept. `progress(through, last)` is called now and then."""
        while self.advance(5 * PAGE):
            if progress is not None:
                progress(self.through, self._reader.last_sequence())
        with suppress(ProjectionError):  # a disk that is full: figures are the same without, and come later
            while self._folder is None and self.gather():
                pass

    def gather(self) -> bool:
        """Make one of the blocks from which figures are read quickly; whether there was one to be made."""
        with self._folding, _explained(self.file):
            if self._next_block() is None:  # so that nobody who folds is kept waiting for nothing
                return False
            with _transaction(self._writer):
                block = self._next_block()
                if block is not None:
                    blocks.make(self._writer, block)
        return block is not None

    def _next_block(self) -> int | None:
        calls, last_us = self._writer.execute("SELECT calls, last_us FROM state").fetchone()
        return blocks.missing(self._writer, calls, last_us or 0)

    def _fold_page(self, limit: int) -> int:
        """One transaction."""
        with _transaction(self._writer):
            ledger_id, through, _, *times, count = self._writer.execute("SELECT * FROM state").fetchone()
            memory = self._memory
            if memory.through != through:  # another process folded, or this one begins
                memory = self._memory = _Memory.load(self._writer, through, count, times)
            page = self._page(through, limit)
            if page.ledger_id != ledger_id:
                raise ProjectionError(
                    f"{self.file}: the ledger was exchanged for another while it was read; start again"
                )
            if not page.rows:
                return 0
            try:
                self._fold(memory, page)
                memory.flush(self._writer)
            except BaseException:
                self._memory = _Memory()  # what is in memory is ahead of the file
                raise
            memory.through = page.rows[-1][0]
            self._writer.execute(
                "UPDATE state SET through = ?, through_hash = ?, first_us = ?, last_us = ?, calls = ?",
                (memory.through, page.last_hash, memory.holes.first_us, memory.holes.last_us, memory.count),
            )
        return len(page.rows)

    def _page(self, after: int, limit: int) -> _Page:
        """As the reader has it; straight from the driver where that can be done."""
        if not isinstance(self._reader, SqlReader):
            records, anchors = self._reader.page(after, limit)
            return _Page(
                anchors.ledger_id,
                [(r.sequence, r.kind, r.monotonic_ns, r.utc_us, r.call_id, r.body) for r, _, _ in records],
                {kept.sequence: kept.body for _, _, kept in records if kept is not None},
                records[-1].hash if records else "",
            )
        anchors = self._reader.page(after, 0)[1]
        with self._reader.snapshot() as connection:
            rows = straight.rows(connection, _ROWS, {"after": after, "limit": limit})
            last = rows[-1][0] if rows else after
            private = dict(straight.rows(connection, _PERSONAL, {"after": after, "last": last}))
            last_hash = connection.execute(_HASH, {"sequence": last}).scalar_one() if rows else ""
        return _Page(anchors.ledger_id, rows, private, last_hash)

    def _fold(self, memory: _Memory, page: _Page) -> None:
        """One after the other; what is done for each is done millions of times."""
        kept, holes = memory.kept, memory.holes
        for row in page.rows:
            sequence, kind, monotonic_ns, utc_us, call_id, _ = row
            if kind in _OF_ITS_CALL_ALONE:
                holes.note_time(utc_us)
                about = kept.get(call_id) or memory.fetch(self._writer, call_id)  # type: ignore[arg-type]
                if about is not None:
                    fold_into(about.record, _fact(row), Instant(monotonic_ns, utc_us))
                    about.count(sequence, 0)
                    if kind == _ENDED:
                        memory.note_caller(about, utc_us)
            elif kind in UNUSED_FACTS:
                holes.note_time(utc_us)
            else:
                self._add(memory, row, page.personal.get(sequence))

    def _add(self, memory: _Memory, row: _FactRow, private: str | None) -> None:
        """A fact about more than its call."""
        sequence, _, monotonic_ns, utc_us, call_id, _ = row
        fact = _fact(row)
        entry = facts.Entry(
            sequence=sequence,
            at=Instant(monotonic_ns, utc_us),
            fact=fact,
            reason="",
            clock=ClockState.UNKNOWN,
        )
        if type(fact) in _ASIDE:
            memory.note_holes(entry)
            memory.note_marks(entry)
            if isinstance(fact, AGENT_FACTS):
                memory.note_agents(entry)
            if isinstance(fact, TASK_FACTS):
                memory.note_task(entry, _signed(caller_id(self._key, _personal(private, "number"))))
        memory.holes.note_time(utc_us)
        if isinstance(fact, facts.CallArrived):
            if fact.consultation_of is not None:
                memory.fetch(self._writer, fact.consultation_of)
            memory.arrive(entry, fact, *self._caller_of(private))
            return
        if call_id:
            memory.fetch(self._writer, call_id)
        if isinstance(fact, WRAP_UP_ENDS) and (worked_on := memory.wrap_ups.get(fact.agent)) is not None:
            memory.fetch(self._writer, worked_on)
        memory.change(entry)

    def _caller_of(self, private: str | None) -> tuple[int, bool]:
        """The keyed hash of the number, and whether the number is an extension."""
        number = _personal(private, "caller_number")
        digits = sum(map(str.isdigit, number or ""))
        return _signed(caller_id(self._key, number)), 0 < digits < SHORTEST_SHOWN

    # --- reading

    def changes(
        self,
        after: int,
        limit: int,
        *,
        promised: bool = False,
        in_progress: bool | None = None,
        line: str | None = None,
        queue: str | None = None,
        tier: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> list[CallVersion]:
        """Calls that changed after this position, in the order of their last change. The times are those of arrival."""
        wanted = [("position > ?", after)]
        wanted += [("promised = 1 AND 1 = ?", 1)] if promised else []
        for clause, value in (
            ("in_progress = ?", None if in_progress is None else int(in_progress)),
            ("line = ?", line),
            ("queue = ?", queue),
            ("tier = ?", tier),
            ("arrived_us >= ?", since_us),
            ("arrived_us < ?", until_us),
        ):
            wanted += [] if value is None else [(clause, value)]  # type: ignore[list-item]
        where = " AND ".join(clause for clause, _ in wanted)
        return self._versions(
            f"WHERE {where} ORDER BY position LIMIT ?",
            (*(value for _, value in wanted), limit),
        )

    def call(self, call_id: str) -> CallVersion | None:
        """The newest version of this call."""
        return next(iter(self._versions("WHERE call_id = ?", (call_id,))), None)

    def contact(self, contact_id: int) -> list[CallVersion]:
        """Every call of this contact, in order of arrival."""
        return self._versions("WHERE contact = ? ORDER BY number", (contact_id,))

    def contacts(self, after: int, limit: int) -> list[tuple[int, int]]:
        """Position and id of contacts any of whose calls changed after this position, in the order of their last change."""
        with self._reading() as connection:
            return connection.execute(
                "SELECT position, contact FROM calls AS changed WHERE position > ? AND NOT EXISTS ("
                " SELECT 1 FROM calls WHERE contact = changed.contact AND position > changed.position"
                ") ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()

    def _versions(self, where: str, values: Sequence[object]) -> list[CallVersion]:
        query = f"SELECT position, call_id, version, through, in_progress, contact, caller, record FROM calls {where}"  # noqa: S608
        with self._reading() as connection:
            return [
                CallVersion(
                    position=position,
                    call_id=call_id,
                    version=version,
                    through_sequence=through,
                    in_progress=bool(in_progress),
                    contact_id=contact,
                    caller=hash_of(caller),
                    record=_unpack(record),
                )
                for position, call_id, version, through, in_progress, contact, caller, record in connection.execute(
                    query, values
                )
            ]

    def tasks(self, after: int, limit: int, *, only_open: bool = False) -> list[TaskVersion]:
        """Ring-back tasks that changed after this position, in the order of their last change."""
        query = (
            "SELECT position, version, through, caller, record FROM tasks WHERE position > ? AND open >= ?"
            " ORDER BY position LIMIT ?"
        )
        with self._reading() as connection:
            return [
                TaskVersion(
                    position=position,
                    version=version,
                    through_sequence=through,
                    caller=hash_of(caller),
                    record=_decode_task(record),
                )
                for position, version, through, caller, record in connection.execute(
                    query, (after, int(only_open), limit)
                )
            ]

    def figures(self, since_us: int, until_us: int, attribution: str = "arrival") -> Figures:
        """The columns of every call that may belong to this time.

        By `arrival`: those that arrived in it. Otherwise (`event`, `completion`) those that arrived before its end and that, with
        their wrap-ups, were not over before its begin: which of them belong is for the definition to say. Work and hours are
        those that may touch it.
        """
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                ledger_id, through, _, first_us, last_us, _ = connection.execute(
                    "SELECT * FROM state"
                ).fetchone()
                calls, work = blocks.read(connection, since_us, until_us)
                words = [""]
                for number, word in connection.execute("SELECT id, word FROM words ORDER BY id"):
                    assert number == len(words)
                    words.append(word)
                spans = self._spans(connection, since_us, until_us, last_us or 0, words)
                holes = _holes(
                    connection,
                    "WHERE started_us < ? AND coalesce(ended_us, ?) > ?",
                    until_us,
                    OPEN_US,
                    since_us,
                )
                marks = _marks(
                    connection,
                    "WHERE started_us < ? AND (ended_us IS NULL OR ended_us >= ?) ORDER BY sequence",
                    until_us,
                    since_us,
                )
            finally:
                connection.execute("ROLLBACK")
        if attribution == "arrival":
            calls = calls.take(calls["arrived_us"] >= since_us)
        return Figures(
            calls=calls,
            work=work,
            spans=spans,
            words=words,
            holes=holes,
            marks=marks,
            through=through,
            first_us=first_us or 0,
            last_us=last_us or 0,
            ledger_id=ledger_id,
        )

    def _spans(
        self, connection: sqlite3.Connection, since_us: int, until_us: int, last_us: int, words: list[str]
    ) -> Columns:
        closed = connection.execute(
            "SELECT agent, state, started_us, ended_us FROM spans WHERE started_us < ? AND ended_us > ?",
            (until_us, since_us),
        ).fetchall()
        lasting = AgentFold(_desks(connection)).open_spans(last_us)
        found = [*closed, *((s.agent, s.state, s.started_us, s.ended_us) for s in lasting)]
        import numpy

        spans = numpy.empty(len(found), dtype=columns.dtype(SPAN_FIELDS))
        if found:
            agents, states, starts, ends = zip(*found, strict=True)
            numbers = {word: number for number, word in enumerate(words)}
            for word in dict.fromkeys((*agents, *states)):
                if word not in numbers:
                    numbers[word] = len(words)
                    words.append(word)
            spans["agent"] = [numbers[agent] for agent in agents]
            spans["state"] = [numbers[state] for state in states]
            spans["started_us"], spans["ended_us"] = starts, ends
        return spans

    def holes(self, after_sequence: int = 0, limit: int = 1000) -> list[HoleRecord]:
        """When the switch, the ledger or the clock was not to be relied on, in order of beginning."""
        with self._reading() as connection:
            return _holes(connection, "WHERE sequence > ? ORDER BY sequence LIMIT ?", after_sequence, limit)

    # --- the file

    def close(self) -> None:
        """Release the file; delete it where it was for this object alone."""
        for connection in (self._writer, *self._connections):
            connection.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _open(self) -> sqlite3.Connection:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect(self.file)
        layout = connection.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, LAYOUT):
            connection.close()
            self._delete()
            connection = _connect(self.file)
            layout = 0
        if layout == 0:
            self._create(connection)
        self._add_blocks(connection)
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        anchors = self._reader.page(None, 0)[1]
        with _transaction(connection):
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
                return  # another process was faster
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO state VALUES (?, 0, '', NULL, NULL, 0)",
                (anchors.ledger_id,),
            )
            connection.execute(f"PRAGMA user_version = {LAYOUT}")

    @staticmethod
    def _add_blocks(connection: sqlite3.Connection) -> None:
        """Also to a file of before there were any, which is not folded again for that."""
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'blocks'").fetchone() is None:
            with _transaction(connection):
                for statement in blocks.tables():
                    connection.execute(statement)

    def _begin_afresh_if_other_ledger(self) -> None:
        """A ledger that was exchanged, or cut back to an older copy, is folded from its first fact."""
        ledger_id, through, digest, *_ = self._writer.execute("SELECT * FROM state").fetchone()
        before, anchors = self._reader.page(through - 1, 1) if through else self._reader.page(None, 0)
        same = anchors.ledger_id == ledger_id
        if (
            same
            and through
            and not (before and before[0].row.sequence == through and before[0].hash == digest)
        ):
            same = False
        if not same:
            self._writer.close()
            self._delete()
            self._writer = self._open()

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of this thread's own: readers never wait for the one that folds."""
        with _explained(self.file):
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _connect(self.file)
                connection.execute("PRAGMA query_only = ON")
                self._connections.append(connection)
            yield connection


class _Memory:
    """What a fold goes on from, and what has changed since the file was written."""

    def __init__(self) -> None:
        self.through = -1
        self.count = 0
        self.fold = CallFold()
        self.kept: dict[str, _Kept] = {}
        self.wrap_ups: dict[str, str] = {}
        """Agent -> the call whose wrap-up they are in."""
        self.agents = AgentFold()
        self.holes = HoleFold()
        self.marks = MarkFold()
        self._words: dict[str, int] = {"": 0}
        self._new_words: list[tuple[int, str]] = []
        self._callers: dict[int, tuple[int, int]] = {}
        self._known_callers: Callable[[int], tuple[int, int] | None] = lambda _: None
        self._spans: list[Span] = []
        self._changed_holes: dict[int, HoleRecord] = {}
        self._changed_marks: dict[int, MarkRecord] = {}
        self._tasks: dict[str, TaskRecord] = {}
        self._task_versions: dict[str, tuple[int, int, int, int]] = {}
        """Task id -> position, version, through, caller."""
        self._stored_task: Callable[[str], tuple[Any, ...] | None] = lambda _: None

    @classmethod
    def load(
        cls, connection: sqlite3.Connection, through: int, count: int, times: Sequence[int | None]
    ) -> _Memory:
        """As of the file."""
        memory = cls()
        memory.through, memory.count = through, count
        memory._words |= {word: number for number, word in connection.execute("SELECT id, word FROM words")}
        memory.wrap_ups = dict(connection.execute("SELECT agent, call_id FROM wrap_ups").fetchall())
        memory.agents = AgentFold(_desks(connection))
        memory.holes = HoleFold(
            _holes(connection, "WHERE ended_us IS NULL OR gap IS NOT NULL AND NOT traced"), *times
        )
        memory.marks = MarkFold(next(iter(_marks(connection, "WHERE ended_us IS NULL")), None))

        def known(caller: int) -> tuple[int, int] | None:
            found: tuple[int, int] | None = connection.execute(
                "SELECT contact, last_us FROM callers WHERE caller = ?", (caller,)
            ).fetchone()
            return found

        def stored(task_id: str) -> tuple[Any, ...] | None:
            found: tuple[Any, ...] | None = connection.execute(
                "SELECT position, version, through, caller, record FROM tasks WHERE task_id = ?", (task_id,)
            ).fetchone()
            return found

        memory._known_callers, memory._stored_task = known, stored
        return memory

    def word(self, text: str) -> int:
        """Its number."""
        number = self._words.get(text)
        if number is None:
            number = self._words[text] = len(self._words)
            self._new_words.append((number, text))
        return number

    def note_holes(self, entry: facts.Entry) -> None:
        """What could not be relied on."""
        for hole in self.holes.add(entry):
            self._changed_holes[hole.sequence] = hole

    def note_marks(self, entry: facts.Entry) -> None:
        """What happened that explains figures."""
        for mark in self.marks.add(entry):
            self._changed_marks[mark.sequence] = mark

    def note_agents(self, entry: facts.Entry) -> None:
        """When agents were at work."""
        self._spans += self.agents.add(entry)

    def note_task(self, entry: facts.Entry, caller: int) -> None:
        """Work for a human."""
        task_id = entry.fact.task_id  # type: ignore[union-attr]
        if task_id not in self._tasks and (row := self._stored_task(task_id)) is not None:
            self._tasks[task_id] = _decode_task(row[4])
            self._task_versions[task_id] = row[:4]
        fold_task(self._tasks, entry.fact, entry.at)
        if task_id in self._tasks:
            _, version, _, was = self._task_versions.get(task_id, (0, 0, 0, 0))
            self._task_versions[task_id] = 2 * entry.sequence, version + 1, entry.sequence, caller or was

    def arrive(self, entry: facts.Entry, fact: facts.CallArrived, caller: int, short: bool) -> None:
        """A new call."""
        self.count += 1
        (record,) = self.fold.add(entry)
        contact = self._contact(fact, caller, entry.at.utc_us)
        self._count(entry, [self._keep(_Kept(record, self.count, contact, caller, short))])

    def _contact(self, fact: facts.CallArrived, caller: int, at_us: int) -> int:
        """That of the call on whose behalf a handler rings, or of the same caller's call just before; else a new one."""
        if fact.consultation_of is not None and (of := self.kept.get(fact.consultation_of)) is not None:
            return of.contact
        if caller == 0 or fact.test:
            return self.count
        contact, last_us = self._callers.get(caller) or self._known_callers(caller) or (self.count, at_us)
        if at_us - last_us > CONTACT_SECONDS * 1_000_000:
            contact = self.count
        self._callers[caller] = contact, at_us
        return contact

    def _keep(self, kept: _Kept) -> _Kept:
        self.kept[kept.record.call_id] = kept
        return kept

    def fetch(self, connection: sqlite3.Connection, call_id: str) -> _Kept | None:
        """Into memory, if it is known at all."""
        if (here := self.kept.get(call_id)) is not None:
            return here
        row = connection.execute(
            "SELECT number, contact, caller, short, version, position, through, record FROM calls WHERE call_id = ?",
            (call_id,),
        ).fetchone()
        if row is None:
            return None
        number, contact, caller, short, version, position, through, record = row
        made = _unpack(record)
        self.fold.adopt(made, [agent for agent, on in self.wrap_ups.items() if on == call_id])
        return self._keep(
            _Kept(made, number, contact, caller, bool(short), version, position, through, changed=False)
        )

    def change(self, entry: facts.Entry) -> None:
        """Fold a fact into what it is about."""
        changed = self.fold.add(entry)
        self._count(entry, [self.kept[record.call_id] for record in changed])
        fact = entry.fact
        if isinstance(fact, facts.WrapUpStarted):
            if (worked_on := self.fold.wrapping_up(fact.agent)) is not None:
                self.wrap_ups[fact.agent] = worked_on.call_id
        elif isinstance(fact, WRAP_UP_ENDS):
            self.wrap_ups.pop(fact.agent, None)

    def note_caller(self, kept: _Kept, at_us: int) -> None:
        """This call of theirs has ended."""
        if kept.caller and not kept.record.test:
            self._callers[kept.caller] = kept.contact, at_us

    def _count(self, entry: facts.Entry, changed: Iterable[_Kept]) -> None:
        for index, kept in enumerate(changed):
            kept.count(entry.sequence, index)

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what has changed, and let go what need not be in memory."""
        changed = [kept for kept in self.kept.values() if kept.changed]
        connection.executemany(
            "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            map(_call_values, changed),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?, ?)",
            [self._column_values(kept) for kept in changed],
        )
        connection.executemany("INSERT INTO words VALUES (?, ?)", self._new_words)
        connection.executemany(
            "INSERT OR REPLACE INTO callers VALUES (?, ?, ?)",
            [(c, *held) for c, held in self._callers.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)",
            [self._task_values(task) for task in self._tasks.values()],
        )
        connection.execute("DELETE FROM wrap_ups")
        connection.executemany("INSERT INTO wrap_ups VALUES (?, ?)", self.wrap_ups.items())
        connection.executemany(
            "INSERT OR REPLACE INTO desks VALUES (?, ?, ?, ?)",
            [(d.agent, d.signed_in_us, d.reason, d.since_us) for d in self.agents.desks.values()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?)",
            [(s.started_us, s.agent, s.state, s.ended_us) for s in self._spans],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO holes VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (h.sequence, h.hole, h.detail, h.started_us, h.ended_us, h.gap, int(h.traced))
                for h in self._changed_holes.values()
            ],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)",
            [(m.sequence, m.mark, m.detail, m.started_us, m.ended_us) for m in self._changed_marks.values()],
        )
        for kept in changed:
            kept.changed = False
        self._forget()

    def _forget(self) -> None:
        self._new_words, self._spans, self._changed_marks = [], [], {}
        self._callers, self._changed_holes, self._tasks, self._task_versions = {}, {}, {}, {}
        working_on = set(self.wrap_ups.values())
        idle = [(kept.through, call_id) for call_id, kept in self.kept.items() if call_id not in working_on]
        settled = [call_id for _, call_id in idle if self.kept[call_id].record.ended_at is not None]
        too_many = len(self.kept) - len(settled) - KEPT_IN_MEMORY
        oldest = [call_id for _, call_id in sorted(idle)[:too_many]] if too_many > 0 else []
        for call_id in {*settled, *oldest}:
            del self.kept[call_id]
            self.fold.drop(call_id)

    def _column_values(self, kept: _Kept) -> tuple[object, ...]:
        record = kept.record
        return (
            kept.number,
            record.arrived_at.utc_us,
            _over_us(record),
            columns.call_row(record, kept.number, kept.contact, kept.caller, kept.short, self.word),
            columns.work_rows(record, kept.number, kept.short, self.word),
        )

    def _task_values(self, task: TaskRecord) -> tuple[object, ...]:
        position, version, through, caller = self._task_versions[task.task_id]
        return (
            task.task_id,
            position,
            version,
            through,
            int(task.closed_at is None),
            caller,
            msgspec.json.encode(task),
        )


def _call_values(kept: _Kept) -> tuple[object, ...]:
    record = kept.record
    return (
        kept.number,
        record.call_id,
        kept.position,
        kept.version,
        kept.through,
        kept.contact,
        kept.caller,
        int(kept.short),
        int(record.ended_at is None),
        int(record.callback is not None),
        record.arrived_at.utc_us,
        record.line,
        record.counted_queue,
        int(record.counted_tier),
        _pack(record),
    )


def _over_us(record: CallRecord) -> int:
    """When the call and all work on it had ended."""
    ends = [record.ended_at, *(each.ended_at for each in record.wrap_ups)]
    return max(OPEN_US if end is None else end.utc_us for end in ends)


def _pack(record: CallRecord) -> bytes:
    packer = zlib.compressobj(1, zdict=_DICTIONARY)
    return packer.compress(msgspec.json.encode(record)) + packer.flush()


def _unpack(packed: bytes) -> CallRecord:
    unpacker = zlib.decompressobj(zdict=_DICTIONARY)
    return _decode_call(unpacker.decompress(packed) + unpacker.flush())


def _signed(caller: str | None) -> int:
    """A keyed hash as a 64-bit number; 0 for none."""
    return 0 if caller is None else int.from_bytes(bytes.fromhex(caller), signed=True)


def _marks(connection: sqlite3.Connection, where: str, *values: int) -> list[MarkRecord]:
    query = f"SELECT sequence, mark, detail, started_us, ended_us FROM marks {where}"  # noqa: S608 - `where` is ours
    return [
        MarkRecord(
            sequence=sequence, mark=Mark(mark), detail=detail, started_us=started_us, ended_us=ended_us
        )
        for sequence, mark, detail, started_us, ended_us in connection.execute(query, values)
    ]


def hash_of(caller: int) -> str | None:
    """The keyed hash of such a number."""
    return None if caller == 0 else int(caller).to_bytes(8, signed=True).hex()


def _personal(private: str | None, name: str) -> str | None:
    if private is None:
        return None
    value = msgspec.json.decode(private).get(name)
    return value if isinstance(value, str) else None


def _desks(connection: sqlite3.Connection) -> list[Desk]:
    return [
        Desk(agent=agent, signed_in_us=signed_in_us, reason=reason, since_us=since_us)
        for agent, signed_in_us, reason, since_us in connection.execute("SELECT * FROM desks")
    ]


def _holes(connection: sqlite3.Connection, where: str, *values: int) -> list[HoleRecord]:
    query = f"SELECT sequence, hole, detail, started_us, ended_us, gap, traced FROM holes {where}"  # noqa: S608 - `where` is ours
    return [
        HoleRecord(
            sequence=sequence,
            hole=Hole(hole),
            detail=detail,
            started_us=started_us,
            ended_us=ended_us,
            gap=gap,
            traced=bool(traced),
        )
        for sequence, hole, detail, started_us, ended_us, gap, traced in connection.execute(query, values)
    ]


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost a batch: it is folded again
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ProjectionError(
            f"projection {file}: {error}; make its folder writable for this user, or delete the file: it is made again"
        ) from error
