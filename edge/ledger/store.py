"""The ledger over SQLAlchemy Core: `open_ledger` for the one daemon that writes, `open_reader` for everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Select,
    String,
    bindparam,
    column,
    delete,
    func,
    insert,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from edge.core.facts import Entry
from edge.ledger import chain
from edge.ledger.chain import Anchors, Chained, Head, Verification, verify_chain
from edge.ledger.codec import Personal, Record, Row, decode_entry
from edge.ledger.maintenance import (
    AuditEntry,
    Erased,
    Hold,
    Maintenance,
    Warrant,
    look_ahead,
    read_audit,
    read_erased,
    read_holds,
    read_spans,
    verify_audit,
)
from edge.ledger.memory import MemoryLedger
from edge.ledger.place import Lock as PlaceLock
from edge.ledger.place import Place, without_password
from edge.ledger.schema import REVISIONS, checkpoints, facts, meta, personal
from edge.ledger.sqlite import SqliteFile, Wait
from edge.ports import Ledger, LedgerError

CHECKPOINTS_KEPT = 2
TIDY_FACTS = 500
"""A few MB of WAL: copied in some milliseconds."""
CALLS_AT_ONCE = 200
"""How many calls one query names: each is a variable of it, and of those there is a limit."""

RECORDS = select(*facts.c, personal.c.salt, personal.c.body).outerjoin_from(facts, personal)
PAGE = (
    RECORDS.where(facts.c.sequence > bindparam("after")).order_by(facts.c.sequence).limit(bindparam("limit"))
)
OF_CALL = RECORDS.where(facts.c.call_id == bindparam("call_id")).order_by(facts.c.sequence)
ANCHORS = select(
    meta.c.ledger_id,
    meta.c.head_sequence,
    meta.c.head_hash,
    select(func.max(checkpoints.c.sequence)).scalar_subquery(),
    select(func.min(personal.c.sequence)).scalar_subquery(),
    select(func.max(personal.c.sequence)).scalar_subquery(),
)
PERSONAL_DATA = (
    select(facts.c.sequence, facts.c.call_id, facts.c.utc_us, facts.c.kind, personal.c.body)
    .join_from(facts, personal)
    .order_by(facts.c.sequence)
)
REVISION: Select[str] = select(column("version_num", String)).select_from(table("alembic_version"))
BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The size of a ledger. UTC in microseconds, None when it is empty."""

    ledger_id: str
    created_utc_us: int
    facts: int
    head: Head
    first_utc_us: int | None
    last_utc_us: int | None
    personal: int
    """Facts whose personal data is kept."""
    erased: int
    checkpoint_sequence: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What `erase` did. `purged`: the data is gone from every file; otherwise `lingers` says where it still is and until when."""

    facts: int
    checkpoints: int
    purged: bool
    lingers: str


class PersonalData(NamedTuple):
    """The personal fields of one fact, as they are stored."""

    sequence: int
    call_id: str | None
    utc_us: int
    kind: str
    body: str


class Shipment(NamedTuple):
    """What follows for a copy of this ledger, as it was at one moment."""

    records: list[Record]
    anchors: Anchors
    erased: list[Erased]
    audit: list[AuditEntry]


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Turn the database's errors into the ledger's."""
    try:
        yield
    except SQLAlchemyError as error:
        raise place.explain(error) from error
    except UnicodeDecodeError as error:
        raise place.damaged("a text in it is no UTF-8") from error


class SqlReader:
    """A ledger that can only be read. Raises `LedgerError`."""

    def __init__(self, place: Place, engine: Engine) -> None:
        self._place = place
        self._engine = engine
        self._snapshots = place.snapshots(engine)
        with _explained(place), engine.connect() as connection:
            _require_current(connection, str(place))

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """All that is read in it is seen at one moment. Meant to be short: while it lasts, the WAL cannot be emptied."""
        with _explained(self._place), self._engine.connect() as connection:
            yield connection

    def _all(self, query: Executable, **values: object) -> Sequence[Any]:
        with _explained(self._place), self._engine.connect() as connection:
            return connection.execute(query, values).all()

    def read(self, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with sequence greater than `after`, in order, at most `limit`."""
        return [_entry(row) for row in self._all(PAGE, after=after, limit=limit)]

    def read_call(self, call_id: str) -> Sequence[Entry]:
        """Every entry about this call, in order."""
        return [_entry(row) for row in self._all(OF_CALL, call_id=call_id)]

    def known_calls(self, call_ids: Sequence[str]) -> set[str]:
        """Those of these calls about which there is any entry; no entry is read for that."""
        known = set[str]()
        for start in range(0, len(call_ids), CALLS_AT_ONCE):
            some = call_ids[start : start + CALLS_AT_ONCE]
            wanted = select(facts.c.call_id).distinct().where(facts.c.call_id.in_(some))
            known |= {row.call_id for row in self._all(wanted)}
        return known

    def page(self, after: int | None, limit: int) -> tuple[Sequence[Record], Anchors]:
        """Records with sequence greater than `after` and the anchors, seen at the same moment."""
        start = BEFORE_ALL if after is None else after
        with _explained(self._place), self._snapshots.connect() as connection:
            rows = connection.execute(PAGE, {"after": start, "limit": limit}).all()
            return [_record(row) for row in rows], _anchors(connection, str(self._place))

    def last_sequence(self) -> int:
        """Sequence of the newest entry, 0 when empty."""
        return self.head().sequence

    @property
    def synthetic(self) -> bool:
        """Whether everything in it was made up."""
        return chain.is_synthetic(self.page(None, 0)[1].ledger_id)

    def head(self) -> Head:
        """Sequence and hash of the newest entry, to be written down elsewhere."""
        return self.page(None, 0)[1].head

    def load_checkpoint(self) -> tuple[int, bytes] | None:
        """The newest checkpoint, or None."""
        newest = select(checkpoints.c.sequence, checkpoints.c.state).order_by(checkpoints.c.sequence.desc())
        for sequence, state in self._all(newest.limit(1)):
            return sequence, state
        return None

    @property
    def ledger_id(self) -> str:
        """What tells this ledger from every other."""
        return self.page(None, 0)[1].ledger_id

    def identity(self) -> tuple[str, int]:
        """The ledger's id, and when it was made (UTC in microseconds)."""
        ((ledger_id, created_utc_us),) = self._all(select(meta.c.ledger_id, meta.c.created_utc_us))
        return ledger_id, created_utc_us

    def shipment(self, after: int, limit: int, erased_after: int, audit_after: int) -> Shipment:
        """What follows for a copy that has come so far, all of it seen at the same moment. `limit` bounds each part."""
        with _explained(self._place), self._snapshots.connect() as connection:
            rows = connection.execute(PAGE, {"after": after, "limit": limit}).all()
            return Shipment(
                records=[_record(row) for row in rows],
                anchors=_anchors(connection, str(self._place)),
                erased=read_erased(connection, erased_after, limit),
                audit=read_audit(connection, audit_after, limit),
            )

    def personal_data(self, after: int, limit: int, like: str = "%") -> list[PersonalData]:
        """What is kept of callers in facts after this sequence, in order, at most `limit`, whose body is `like` this."""
        wanted = PERSONAL_DATA.where(personal.c.sequence > after, personal.c.body.like(like))
        return [PersonalData(*row) for row in self._all(wanted.limit(limit))]

    def personal_data_of(self, call_ids: Sequence[str]) -> list[PersonalData]:
        """What is kept of the callers of these calls, in order."""
        return [PersonalData(*row) for row in self._all(PERSONAL_DATA.where(facts.c.call_id.in_(call_ids)))]

    def spans_of(self, call_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Call -> of when its first and its last fact are, in UTC microseconds."""
        with _explained(self._place), self._engine.connect() as connection:
            return read_spans(connection, call_ids)

    def rows_of(self, kinds: Sequence[str], call_ids: Sequence[str] = ()) -> list[Row]:
        """Facts of these kinds as they are stored, in order: of these calls, or with none named all that there are."""
        wanted = select(*facts.c).where(facts.c.kind.in_(kinds)).order_by(facts.c.sequence)
        if call_ids:
            wanted = wanted.where(facts.c.call_id.in_(call_ids))
        return [Row(*row[:-1]) for row in self._all(wanted)]

    def holds(self, *, released: bool = False) -> list[Hold]:
        """Legal holds that hold; with `released` also those that no longer do."""
        with _explained(self._place), self._snapshots.connect() as connection:
            return read_holds(connection, released=released)

    def audit(self) -> Iterator[AuditEntry]:
        """Everything that was done to the record beside writing facts."""
        after = 0
        while entries := self._audit(after):
            yield from entries
            after = entries[-1].number

    def _audit(self, after: int) -> list[AuditEntry]:
        with _explained(self._place), self._snapshots.connect() as connection:
            return read_audit(connection, after, chain.PAGE)

    def verify_audit(self) -> str | None:
        """What is wrong at the first place where the audit's chain does not hold, or None."""
        return verify_audit(self.audit(), self.ledger_id)

    def statistics(self) -> Statistics:
        """Counts, times and size; reads the whole ledger once."""
        had_personal = func.count(facts.c.personal_digest)
        times = func.count(), func.min(facts.c.utc_us), func.max(facts.c.utc_us), had_personal
        with _explained(self._place), self._snapshots.connect() as connection:
            count, first, last, digests = connection.execute(select(*times).select_from(facts)).one()
            kept = connection.execute(select(func.count()).select_from(personal)).scalar_one()
            created = connection.execute(select(meta.c.created_utc_us)).scalar_one()
            anchors = _anchors(connection, str(self._place))
        return Statistics(
            ledger_id=anchors.ledger_id,
            created_utc_us=created,
            facts=count,
            head=anchors.head,
            first_utc_us=first,
            last_utc_us=last,
            personal=kept,
            erased=digests - kept,
            checkpoint_sequence=anchors.checkpoint_sequence or None,
            size_bytes=self._place.size_bytes(),
        )

    def close(self) -> None:
        """Release the files."""
        self._engine.dispose()


class SqlLedger(SqlReader):
    """The `Ledger` port. Thread-safe; with `lock`, the only writer of facts on this machine."""

    def __init__(self, place: Place, engine: Engine, lock: PlaceLock | None = None) -> None:
        self._lock = lock
        self._appending = Lock()
        self._head: Head | None = None
        self._untidy = 0
        super().__init__(place, engine)

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit all entries durably in one transaction, or none. Raises `LedgerError`; the next append starts afresh."""
        if not entries:
            return
        with self._appending:
            if self._lock:
                self._lock.confirm()
            records, head = chain.extend(self._head or self.head(), entries)
            self._head = None  # after an error only the disk knows
            with _explained(self._place), self._engine.begin() as connection:
                _insert(self._place, connection, records, head)
            self._head = head
            self._untidy += len(records)

    def tidy(self) -> None:
        """After every `TIDY_FACTS` facts, what SQLite would else do in the midst of a commit. Tried again after as many more."""
        if self._untidy < TIDY_FACTS:
            return
        self._untidy = 0
        with suppress(SQLAlchemyError):  # no connection to be had: the next commit says why
            self._place.tidy(self._engine)

    def save_checkpoint(self, sequence: int, state: bytes) -> None:
        """Keep the open state as of `sequence`, and the checkpoint before it."""
        if not 0 <= sequence <= (last := self.last_sequence()):
            raise LedgerError(f"{self._place}: no checkpoint at entry {sequence}: the last entry is {last}")
        row = {"sequence": sequence, "made_utc_us": time.time_ns() // 1000, "state": state}
        newest = select(checkpoints.c.sequence).order_by(checkpoints.c.sequence.desc())
        with _explained(self._place), self._engine.begin() as connection:
            connection.execute(delete(checkpoints).where(checkpoints.c.sequence >= sequence))
            connection.execute(insert(checkpoints), row)
            kept = newest.limit(CHECKPOINTS_KEPT).scalar_subquery()
            connection.execute(delete(checkpoints).where(checkpoints.c.sequence.not_in(kept)))

    @contextmanager
    def maintenance(self) -> Iterator[Maintenance]:
        """One transaction of maintenance, when its turn has come. Keep it short: the daemon's commits wait meanwhile."""
        import edge.numbering  # noqa: F401 - a tenth of a second, which must not fall into the transaction

        ledger_id = self.ledger_id
        with _explained(self._place), self._engine.begin() as connection:
            self._place.take_turn(connection)
            yield Maintenance(connection, ledger_id)

    def erase(
        self,
        sequences: Sequence[int] = (),
        call_ids: Sequence[str] = (),
        *,
        warrant: Warrant,
    ) -> Erasure:
        """Delete the personal data of these entries and calls, and every checkpoint that holds one of them or the same data.

        The chain holds without it, and the audit says what was done. Meant for calls that have ended: the daemon still knows
        an open one, and puts it into its next checkpoint. Raises `HeldError` for what is under a legal hold.
        """
        with _explained(self._place), self._engine.connect() as connection:
            look_ahead(connection, sequences, call_ids)
        with self.maintenance() as maintenance:
            erased, forgotten = maintenance.erase(warrant, "erase", sequences, call_ids)
        return self.purged(Erasure(facts=erased, checkpoints=forgotten, purged=False, lingers=""))

    def purged(self, done: Erasure) -> Erasure:
        """The same, after what was deleted has been dropped from wherever it still stands."""
        with _explained(self._place):
            purged = self._place.purge(self._engine)
        return replace(done, purged=purged, lingers="" if purged else self._place.lingers)

    def let_go(self) -> None:
        """Release the file, which is about to be replaced, and keep others out: the next use opens what stands there then."""
        super().close()
        self._head = None

    def close(self) -> None:
        """Release the files, then let another daemon in."""
        super().close()
        if self._lock:
            self._lock.release()


INSERT_FACTS = insert(facts)
INSERT_PERSONAL = insert(personal)
MOVE_HEAD = update(meta).values(head_sequence=bindparam("sequence"), head_hash=bindparam("hash"))


FACT_COLUMNS = (*Row._fields, "hash")


def _insert(place: Place, connection: Connection, records: Sequence[Record], head: Head) -> None:
    rows = [(*record.row, record.hash) for record in records]
    place.carry_out(connection, INSERT_FACTS, FACT_COLUMNS, rows)
    if private := [record.personal for record in records if record.personal]:
        place.carry_out(connection, INSERT_PERSONAL, Personal._fields, private)
    place.carry_out(connection, MOVE_HEAD, Head._fields, [head])


def _record(row: Sequence[Any]) -> Record:
    *columns, digest, salt, body = row
    kept = None if body is None else Personal(columns[0], salt, body)
    return Record(Row(*columns), digest, kept)


def _entry(row: Sequence[Any]) -> Entry:
    record = _record(row)
    return decode_entry(record.row, record.personal)


def _anchors(connection: Connection, place: str) -> Anchors:
    found: Sequence[Any] = connection.execute(ANCHORS).all()
    if len(found) != 1:
        raise LedgerError(f"{place}: its table meta has {len(found)} rows and not one: it was tampered with")
    ledger_id, sequence, digest, checkpoint, lowest, highest = found[0]
    kept = None if lowest is None else (lowest, highest)
    return Anchors(ledger_id, Head(sequence, digest), checkpoint or 0, kept)


def _revision(connection: Connection, place: str) -> str | None:
    """The schema revision; None for an empty database. Raises `LedgerError` when it is not one this program knows."""
    seen = inspect(connection)
    tables = [*seen.get_table_names(), *seen.get_view_names()]
    if not tables:
        return None
    if "ledgers" in tables:
        raise LedgerError(
            f"{place}: this is a database that appliances share: add ?ledger=ID to read one (`edge ship list`)"
        )
    if "alembic_version" not in tables:
        raise LedgerError(f"{place}: this database is no Edge101 ledger; name another")
    found = connection.scalar(REVISION)
    if found is not None and found not in REVISIONS:
        raise LedgerError(
            f"{place}: its schema {found} is newer than this program's {REVISIONS[-1]}; use a newer version of edge"
        )
    return found


def _require_current(connection: Connection, place: str) -> None:
    revision = _revision(connection, place)
    if revision is None:
        raise LedgerError(f"{place}: it is still empty; `edge run` prepares it when it starts")
    if revision != REVISIONS[-1]:
        raise LedgerError(
            f"{place}: its schema {revision} is older than this program's {REVISIONS[-1]}; "
            "`edge run` brings it up to date when it starts"
        )


def _prepare(engine: Engine, place: Place) -> None:
    """Create or migrate the tables, all in one transaction."""
    with _explained(place), engine.begin() as connection:
        if _revision(connection, str(place)) == REVISIONS[-1]:
            return
        from edge.ledger.migrations import (
            upgrade,  # Alembic takes a tenth of a second to import; few starts need it
        )

        upgrade(connection)
        if not connection.execute(select(meta.c.ledger_id)).all():
            _introduce(connection)


def _introduce(connection: Connection) -> None:
    ledger_id = uuid4().hex
    head = chain.genesis(ledger_id)
    row = {
        "ledger_id": ledger_id,
        "created_utc_us": time.time_ns() // 1000,
        "head_sequence": head.sequence,
        "head_hash": head.hash,
    }
    connection.execute(insert(meta), row)


def _place(url: str) -> Place:
    """Where the ledger is, by what its URL begins with."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(
            f"{without_password(url)!r} is no ledger URL: write sqlite:///path/to/ledger.db, "
            "or postgresql+psycopg://user@host/database"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return SqliteFile(parsed)
    if backend == "postgresql":
        from edge.ledger.postgres import PostgresSchema  # the daemon never needs it

        return PostgresSchema(parsed)
    raise LedgerError(
        f"a ledger in {backend} is not supported: write sqlite:///path, or postgresql+psycopg://user@host/database"
    )


def _existing(url: str) -> Place:
    place = _place(url)
    if not place.exists():
        raise LedgerError(f"{place}: there is no such file; `edge run` makes it when it starts")
    return place


def open_ledger(url: str, *, create: bool = True, lock: PlaceLock | None = None) -> Ledger:
    """The ledger at `url` (sqlite:///path, postgresql+psycopg://user@host/database, memory:) for its one writer.

    Its schema is brought up to date. `lock`: that of `lock_ledger`, where it is held already; it stays held if this fails.
    Raises `LedgerError`: not there and not to be created, not a ledger, of a newer schema, open in another daemon, or made up.
    """
    if url == "memory:":
        return MemoryLedger()
    ledger = open_sql_ledger(url, create=create, lock=lock)
    if ledger.synthetic:
        ledger.close()
        raise LedgerError(
            f"{without_password(url)}: this ledger was made up (`edge ledger synthesise`): no daemon serves on it; name another"
        )
    return ledger


def open_sql_ledger(url: str, *, create: bool = True, lock: PlaceLock | None = None) -> SqlLedger:
    """As `open_ledger`, with all that a ledger on disk can do."""
    place = _place(url) if create else _existing(url)
    if create:
        place.create()
    with ExitStack() as undone:
        if lock is None:
            lock = place.lock()
            undone.callback(lock.release)
        engine = place.writer()
        undone.callback(engine.dispose)
        _prepare(engine, place)
        ledger = SqlLedger(place, engine, lock)
        undone.pop_all()
    return ledger


def sqlite_path(url: str) -> Path | None:
    """The file of the ledger at `url`, where it is one. Raises `LedgerError`."""
    place = None if url == "memory:" else _place(url)
    return place.path if isinstance(place, SqliteFile) else None


def lock_ledger(url: str, wait: Wait | None = None) -> PlaceLock | None:
    """The lock of whoever writes the ledger at `url`, for `open_ledger`: at once, or as soon as `wait` has it. None where that is
    no matter of a file. Raises `LedgerError`."""
    place = None if url == "memory:" else _place(url)
    if not isinstance(place, SqliteFile):
        return None
    place.create()
    return place.lock(wait)


def open_reader(url: str, *, kept: bool = False) -> SqlReader:
    """The ledger at `url` to be read only, whether its daemon lives or not. Raises `LedgerError`.

    `kept`: the file stays open between transactions, for a service that has many short ones.
    """
    place = _existing(url)
    engine = place.reader(kept=kept)
    try:
        return SqlReader(place, engine)
    except LedgerError:
        engine.dispose()
        raise


def verify(
    ledger: Chained | str,
    progress: Callable[[int, int], None] | None = None,
    known_head: Head | None = None,
) -> Verification:
    """Recompute the chain of this ledger or URL: see `verify_chain`. Raises `LedgerError` when it cannot be read at all."""
    if not isinstance(ledger, str):
        return verify_chain(ledger, progress, known_head)
    with closing(open_reader(ledger)) as reader:
        return verify_chain(reader, progress, known_head)


def head(url: str) -> Head:
    """Sequence and hash of the newest fact: write it down elsewhere, and nothing up to it can be changed unseen."""
    with closing(open_reader(url)) as reader:
        return reader.head()


def statistics(url: str) -> Statistics:
    """Counts, times and size of the ledger at `url`."""
    with closing(open_reader(url)) as reader:
        return reader.statistics()


def export(url: str, after: int = 0) -> Iterator[dict[str, Any]]:
    """Every record after `after` as plain values, as stored: enough to recompute the chain without this program."""
    with closing(open_reader(url)) as reader:
        while records := reader.page(after, chain.PAGE)[0]:
            for record in records:
                kept = record.personal and {"salt": record.personal.salt, "body": record.personal.body}
                yield {**record.row._asdict(), "hash": record.hash, "personal": kept}
            after = records[-1].row.sequence


def erase(
    url: str,
    sequences: Sequence[int] = (),
    call_ids: Sequence[str] = (),
    *,
    warrant: Warrant,
) -> Erasure:
    """Erase personal data at `url` (`SqlLedger.erase`), beside a living daemon or without one. Raises `LedgerError`."""
    with closing(open_for_maintenance(url)) as ledger:
        return ledger.erase(sequences, call_ids, warrant=warrant)


def open_for_maintenance(url: str) -> SqlLedger:
    """The ledger at `url` for what is done beside writing facts, whether its daemon lives or not. Raises `LedgerError`."""
    place = _existing(url)
    engine = place.eraser()
    try:
        return SqlLedger(place, engine)
    except LedgerError:
        engine.dispose()
        raise
