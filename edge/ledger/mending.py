"""A damaged ledger file is set aside, whole and for ever, and what can still be read of it goes on in a new one (ADR 0020).

The new file is the same ledger: its id, its sequences, its hashes. Where facts cannot be read, or are not what was recorded, a
fact in their place says so (`FactsLost`), and no sequence is given twice. Only who holds the writer's lock may do this.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain as one_after_the_other
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Table

from edge.core.facts import Entry, FactsLost
from edge.core.model import ClockState, Instant
from edge.core.transitions import IllegalFactError
from edge.heartbeat import Heartbeat
from edge.ledger import schema
from edge.ledger.chain import Head, genesis, head_after, hole_of, leads_over, link, verify_chain
from edge.ledger.codec import Personal, Record, Row, encode_entry, personal_digest
from edge.ledger.place import Lock
from edge.ledger.store import SqlLedger, lock_ledger, open_ledger, open_sql_ledger, sqlite_path
from edge.ports import DamagedError, Ledger, LedgerError, UnreadableError

BATCH = 2_000
STEADILY = 5_000
"""So many missing sequences are tried one by one; beyond that ever more are passed over at once."""
HEADER = struct.Struct(">16xH6xI")
"""Of a SQLite file: the size of its pages, and how often it was changed."""
BEYOND = 2**40
"""Where the end of a table is not known: no ledger has so many rows."""
OTHERS = (schema.checkpoints, schema.audit, schema.erased, schema.holds)
AGAIN_SECONDS = 600.0
"""A file that is damaged again so soon lies on a disk that damages files: it is not set aside again while we serve."""

T = TypeVar("T")
Alive = Callable[[], None]
"""Told again and again while it lasts: a ledger of many million facts takes minutes."""


def nobody() -> None:
    """Where nobody wants to hear that it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What became of a damaged file. `lost`: first and last of each run of facts that could not be read; `also`: what else."""

    kept_as: str
    why: str
    facts: int
    lost: tuple[tuple[int, int], ...]
    also: tuple[str, ...]

    def __str__(self) -> str:
        """For a person, in the alarm."""
        which = ", ".join(f"{first} to {last}" for first, last in self.lost)
        lost = f"entries {which} are lost" if self.lost else "no fact is lost"
        return (
            f"the file was damaged ({self.why}) and is kept beside the new one as {self.kept_as}, with the personal data in it: "
            f"{self.facts} facts were read from it, {'; '.join((lost, *self.also))}"
        )


class Stored(NamedTuple):
    """A row of `facts` as it was found."""

    row: Row
    hash: str


def open_mended(
    url: str, read: Callable[[Ledger], T], now: Instant, lock: Lock | None = None, alive: Alive = nobody
) -> tuple[Ledger, T, Mended | None]:
    """The ledger at `url` for its one writer, what `read` makes of it, and what was done where the file was damaged.

    Raises what `open_ledger` and `read` raise for any other reason.
    """
    path = sqlite_path(url)
    if path is None:
        ledger = open_ledger(url)
        return ledger, read(ledger), None
    mended = None
    with ExitStack() as undone:
        if lock is None and (lock := lock_ledger(url)) is not None:
            undone.callback(lock.release)
        _finish(path)
        try:
            ledger, found = _read(url, path, read, lock, alive)
        except DamagedError as damage:
            mended = set_aside(path, _in_short(damage, path), now, alive)
            ledger, found = _read(url, path, read, lock, alive)
        undone.pop_all()
    return ledger, found, mended


def _read(
    url: str, path: Path, read: Callable[[Ledger], T], lock: Lock | None, alive: Alive
) -> tuple[Ledger, T]:
    """Raises `DamagedError` also for entries that nobody wrote like that."""
    if path.exists() and path.stat().st_size == 0 and _was_served(url):
        raise DamagedError(f"ledger {path}: it is empty, though a daemon has served on it")
    ledger = open_ledger(url, lock=lock)
    try:
        return ledger, read(ledger)
    except (UnreadableError, IllegalFactError) as error:
        if isinstance(ledger, SqlLedger):
            found = verify_chain(ledger, lambda _done, _total: alive())
            if not found.sound:
                ledger.let_go()
                raise DamagedError(f"ledger {path}: {found.explanation}") from error
        raise
    except DamagedError:
        if isinstance(ledger, SqlLedger):
            ledger.let_go()
        raise


def _was_served(url: str) -> bool:
    heartbeat = Heartbeat.beside(url)
    return heartbeat is not None and heartbeat.read() is not None


def _in_short(error: LedgerError, path: Path) -> str:
    return str(error).removeprefix(f"ledger {path}: ").partition(";")[0]


class MendingLedger:
    """The `Ledger` port: a file that turns out to be damaged while we serve is set aside, and appending goes on in the new."""

    def __init__(
        self, ledger: SqlLedger, path: Path, now: Callable[[], Instant], tell: Callable[[Mended], None]
    ) -> None:
        """`tell` hears of it, in the thread that appended."""
        self._ledger, self._path, self._now, self._tell = ledger, path, now, tell
        self._mended_at: Instant | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit all entries durably, or none. Raises `LedgerError`."""
        try:
            self._ledger.append(entries)
        except DamagedError as damage:
            now = self._now()
            if self._mended_at is not None and now.since(self._mended_at) < AGAIN_SECONDS:
                raise
            self._mended_at = now
            self._ledger.let_go()
            last = entries[0].sequence - 1
            mended = set_aside(self._path, _in_short(damage, self._path), now, last=last)
            self._ledger.append(entries)
            self._tell(mended)

    def read(self, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with sequence greater than `after`, in order, at most `limit`."""
        return self._ledger.read(after, limit)

    def last_sequence(self) -> int:
        """Sequence of the newest entry, 0 when empty."""
        return self._ledger.last_sequence()

    def tidy(self) -> None:
        """Do what a commit need not wait for, if it is time."""
        self._ledger.tidy()

    def save_checkpoint(self, sequence: int, state: bytes) -> None:
        """Keep the open state as of `sequence`."""
        self._ledger.save_checkpoint(sequence, state)

    def load_checkpoint(self) -> tuple[int, bytes] | None:
        """The newest checkpoint, or None."""
        return self._ledger.load_checkpoint()

    def close(self) -> None:
        """Release the files."""
        self._ledger.close()


def set_aside(path: Path, why: str, now: Instant, alive: Alive = nobody, last: int = 0) -> Mended:
    """Set the damaged file at `path` aside, with what can be read of it in a new one at its place.

    `last`: a sequence that is known to have been given. Raises `LedgerError`, with the damaged file where it was.
    """
    stamp = datetime.fromtimestamp(now.utc_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    fresh, rebuilt = path.with_name(path.name + ".mending"), path.with_name(path.name + ".mending-from")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    _remove(fresh, rebuilt)
    try:
        with closing(open_sql_ledger(f"sqlite:///{fresh}", lock=_NoLock())) as ledger:
            unknown = ledger.identity()
        is_headless = _is_headless(path)
        if is_headless:
            _give_first_page(path, fresh, rebuilt)
        with closing(_Damaged(rebuilt if is_headless else path)) as old, closing(_Continuation(fresh)) as new:
            mended = _carry_over(old, new, unknown, _Circumstances(why, kept.name, now, last), alive)
        _remove(rebuilt)
        was = path.stat()
        fresh.chmod(was.st_mode & 0o777)
        with suppress(PermissionError):
            os.chown(fresh, was.st_uid, was.st_gid)
        fresh.replace(path.with_name(f"{path.name}.mended-{stamp}"))
        _finish(path)
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(
            f"ledger {path}: it is damaged, and could not be set aside: {error}; "
            "free space on its file system, and give the daemon's user write permission on its directory"
        ) from error
    return mended


def _remove(*files: Path) -> None:
    """With what SQLite keeps beside them."""
    for file in files:
        for suffix in ("", "-wal", "-shm", "-journal"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)


def _is_headless(path: Path) -> bool:
    """Whether the first page, which says where each table begins, can not be read, and there are others."""
    if path.stat().st_size <= HEADER.size:
        return False
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchall()
        except sqlite3.DatabaseError:
            return True


def _give_first_page(path: Path, empty: Path, rebuilt: Path) -> None:
    """Make `rebuilt`, a copy with the first page of an empty ledger: in all that were made by one schema tables begin alike.

    Where they do not, what is read of it proves to be nothing: facts by their chain, all else by its types (`_is_a_row_of`).
    """
    for suffix in ("", "-wal"):
        if (part := path.with_name(path.name + suffix)).exists():
            shutil.copyfile(part, rebuilt.with_name(rebuilt.name + suffix))
    with empty.open("rb") as whole:
        page_size, changes = HEADER.unpack(whole.read(HEADER.size))
        whole.seek(0)
        page = bytearray(whole.read(page_size))
    page[92:96] = (changes + 1).to_bytes(4)  # so that its length is not believed, and the file's own is
    with rebuilt.open("r+b") as file:
        file.write(page)


def _is_a_row_of(table: Table, row: Sequence[object]) -> bool:
    """Whether these can be its values."""
    return all(
        (value is None and column.nullable) or isinstance(value, column.type.python_type)
        for column, value in zip(table.columns, row, strict=True)
    )


def _finish(path: Path) -> None:
    """Put a new file that is whole in the place of the damaged one, which may have been begun before a crash."""
    for mended in sorted(path.parent.glob(f"{path.name}.mended-*")):
        kept = path.with_name(mended.name.replace(".mended-", ".damaged-"))
        for suffix in ("", "-wal", "-shm"):  # without its WAL nothing must ever be read from the damaged file
            part, whither = path.with_name(path.name + suffix), kept.with_name(kept.name + suffix)
            if part.exists() and not whither.exists():
                part.replace(whither)
        mended.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _NoLock:
    """For a file that nobody else knows of."""

    def confirm(self) -> None:
        """It is ours."""

    def release(self) -> None:
        """Nobody waits for it."""


class _Damaged:
    """The damaged file, which is only read here: it is evidence."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        with suppress(sqlite3.DatabaseError):
            self._connection.execute(
                "PRAGMA writable_schema = ON"
            )  # or a file that was cut off is refused whole
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        self.unread: set[str] = set()
        """Tables of which something cannot be read."""
        self.personal_lost = 0

    def rows(self, table: Table, last: int = BEYOND) -> Iterator[tuple[object, ...]]:
        """The rows that can be read, in the order of their whole-numbered key."""
        names = ", ".join(column.name for column in table.columns)
        (key,) = (column.name for column in table.primary_key)
        query = f"SELECT {names} FROM {table.name} WHERE {key} > ? ORDER BY {key}"  # noqa: S608 - our own names
        after = good = 0
        while after < last:
            try:
                for row in self._connection.execute(query, (after,)):
                    if not isinstance(row[0], int) or row[0] <= after:
                        break  # its keys are out of order
                    after = good = row[0]
                    yield row
                else:
                    return
            except sqlite3.DatabaseError:
                pass
            self.unread.add(table.name)
            after += 1 + max(0, after - good - STEADILY) // 50

    def meta(self) -> tuple[str, int, Head] | None:
        """The ledger's id, when it was made, and its head."""
        with suppress(sqlite3.DatabaseError, ValueError):
            query = "SELECT ledger_id, created_utc_us, head_sequence, head_hash FROM meta"
            ((ledger_id, created_utc_us, sequence, digest),) = self._connection.execute(query)
            if isinstance(sequence, int) and isinstance(created_utc_us, int):
                return str(ledger_id), created_utc_us, Head(sequence, str(digest))
        return None

    def facts(self, last: int) -> Iterator[Stored]:
        """The rows of facts that can be read, as they are."""
        for *columns, digest in self.rows(schema.facts, last):
            yield Stored(Row(*columns), str(digest))  # type: ignore[arg-type]  # what is not of its type has another hash

    def personal(self, row: Row) -> Personal | None:
        """What is kept of this fact's personal data, if it is what was recorded."""
        if row.personal_digest is None:
            return None
        query = "SELECT sequence, salt, body FROM personal WHERE sequence = ?"
        try:
            found = self._connection.execute(query, (row.sequence,)).fetchone()
        except sqlite3.DatabaseError:
            found = (row.sequence, "", "")
        if found is None:
            return None  # it was erased
        if personal_digest(str(found[1]), str(found[2])) != row.personal_digest:
            self.personal_lost += 1
            return None
        return Personal(*found)

    def close(self) -> None:
        """Let go."""
        self._connection.close()


class _Continuation:
    """The new file while it is filled: on disk for sure only once it is closed."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("foreign_keys = OFF", "synchronous = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("BEGIN")

    def put(self, records: Sequence[Record]) -> None:
        """Facts, and what is kept of their personal data."""
        self.put_rows(schema.facts, ((*record.row, record.hash) for record in records))
        self.put_rows(schema.personal, (record.personal for record in records if record.personal is not None))
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")

    def put_rows(self, table: Table, rows: Iterable[Sequence[object]]) -> None:
        """Rows as they were found; one that the table does not take is passed over."""
        places = ", ".join("?" for _ in table.columns)
        self._connection.executemany(f"INSERT OR IGNORE INTO {table.name} VALUES ({places})", rows)  # noqa: S608

    def close_with(self, ledger_id: str, created_utc_us: int, head: Head) -> None:
        """Whose it is and where it ends; then everything is on disk, in one file."""
        self._connection.execute("DELETE FROM meta")
        self._connection.execute("INSERT INTO meta VALUES (?, ?, ?, ?)", (ledger_id, created_utc_us, *head))
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go; the WAL, which is empty, goes with the last connection."""
        self._connection.close()


class _Circumstances(NamedTuple):
    """What every hole is told with."""

    why: str
    kept_as: str
    now: Instant
    last: int


def _carry_over(
    old: _Damaged,
    new: _Continuation,
    unknown: tuple[str, int],
    about: _Circumstances,
    alive: Alive,
) -> Mended:
    """Fill the new file. `unknown`: id and time of making where those of the old one cannot be read."""
    meta = old.meta()
    ledger_id, created_utc_us, end = meta or (*unknown, None)
    kept_checkpoints = [row for row in old.rows(schema.checkpoints) if _is_a_row_of(schema.checkpoints, row)]
    last = max([about.last, end.sequence if end else 0, *(int(str(row[0])) for row in kept_checkpoints)])
    batch, facts, lost, head = list[Record](), 0, list[tuple[int, int]](), genesis(ledger_id)
    for record in _continued(ledger_id, old.facts(last if end else BEYOND), end, last, about):
        hole = hole_of(record.row)
        if hole is not None and hole.kept_as == about.kept_as:
            lost.append((hole.first, record.row.sequence))
        else:
            record, facts = record._replace(personal=old.personal(record.row)), facts + 1
        head = head_after(record.row, record.hash)
        batch.append(record)
        if len(batch) >= BATCH:
            new.put(batch)
            batch.clear()
            alive()
    new.put(batch)
    new.put_rows(schema.checkpoints, (row for row in kept_checkpoints if int(str(row[0])) <= head.sequence))
    for table in OTHERS[1:]:
        new.put_rows(table, (row for row in old.rows(table) if _is_a_row_of(table, row)))
    new.close_with(ledger_id, created_utc_us, head)
    also = [f"of its table {name} something is lost" for name in sorted(old.unread - {schema.facts.name})]
    if old.personal_lost:
        also.append(f"the personal data of {old.personal_lost} facts is lost")
    if meta is None:
        also.append("its id is lost, so that this is a new ledger for all who read it")
    return Mended(kept_as=about.kept_as, why=about.why, facts=facts, lost=tuple(lost), also=tuple(also))


def _continued(
    ledger_id: str, found: Iterator[Stored], end: Head | None, last: int, about: _Circumstances
) -> Iterator[Record]:
    """The facts that are what was recorded, and in the place of all others one that says that they are lost."""
    head, at = genesis(ledger_id), about.now
    for stored in _genuine(head, found, end):
        until = Instant(stored.row.monotonic_ns, stored.row.utc_us)
        if stored.row.sequence > head.sequence + 1 and not leads_over(stored.row, head.sequence + 1):
            since = at if head.sequence else until
            yield (
                hole := _hole(head, stored.row.sequence - 1, since, about, until=until, next_hash=stored.hash)
            )
            head = Head(hole.row.sequence, hole.hash)
        yield Record(stored.row, stored.hash, None)
        head, at = head_after(stored.row, stored.hash), until
    if head.sequence < last or (end is None and head.sequence == 0):
        lost_hash = end.hash if end is not None and end.sequence == last else ""
        yield _hole(head, max(last, 1), at, about, lost_hash=lost_hash)


def _genuine(before: Head, found: Iterator[Stored], end: Head | None) -> Iterator[Stored]:
    """Of what was found, in order: whatever follows from the fact before it, and behind a hole whatever the next follows from.

    A row whose content was changed does not follow from the one before; the next follows from its hash, which was not.
    """
    was_kept, hole = True, None
    follows = False
    for stored, following in pairwise(one_after_the_other(found, (None,))):
        if stored is None:
            return
        adjoins = stored.row.sequence == before.sequence + 1
        proved = follows if before.sequence and adjoins else adjoins and _follows(before, stored)
        if hole is not None:  # of an earlier damage: what is behind it stands as it was found
            proved = proved or (adjoins and hole.next_hash == stored.hash)
        hole = hole_of(stored.row)
        if hole is not None and leads_over(stored.row, before.sequence + 1):
            proved = _follows(Head(before.sequence, hole.previous_hash), stored)
        follows = (
            following is not None
            and following.row.sequence == stored.row.sequence + 1
            and _follows(head_after(stored.row, stored.hash), following)
        )
        vouched = follows or (end is not None and end == (stored.row.sequence, stored.hash))
        was_kept = proved or (vouched and not (adjoins and was_kept))
        if was_kept:
            yield stored
        before = head_after(stored.row, stored.hash)


def _follows(head: Head, stored: Stored) -> bool:
    return link(head.hash, stored.row) == stored.hash


def _hole(
    head: Head,
    last: int,
    at: Instant,
    about: _Circumstances,
    *,
    until: Instant | None = None,
    next_hash: str = "",
    lost_hash: str = "",
) -> Record:
    fact = FactsLost(
        first=head.sequence + 1,
        why=about.why,
        kept_as=about.kept_as,
        mended_at=about.now,
        until=until,
        previous_hash=head.hash,
        next_hash=next_hash,
        lost_hash=lost_hash,
    )
    reason = f"entries {head.sequence + 1} to {last} could not be read from the damaged file {about.kept_as}"
    row, _ = encode_entry(Entry(sequence=last, at=at, fact=fact, reason=reason, clock=ClockState.UNKNOWN))
    return Record(row, link(head.hash, row), None)
