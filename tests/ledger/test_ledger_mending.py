"""A ledger file that is damaged is set aside and goes on: what was lost is named in it, and nothing else is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from edge.core.facts import Entry, FactsLost
from edge.core.model import Instant
from edge.heartbeat import Heartbeat
from edge.ledger import schema
from edge.ledger.chain import Anchors, Damage, Head, genesis, verify_chain
from edge.ledger.codec import Record
from edge.ledger.executor import ThreadCommitExecutor
from edge.ledger.maintenance import Hold, Warrant
from edge.ledger.measure import arrivals
from edge.ledger.mending import Mended, MendingLedger, open_mended
from edge.ledger.store import (
    SqlLedger,
    export,
    lock_ledger,
    open_ledger,
    open_reader,
    open_sql_ledger,
    verify,
)
from edge.mi.stream import MovedError, Selection, Start, read_page
from edge.ports import DamagedError, Ledger, LedgerError, UnreadableError, read_all
from edge.ship.shipping import Shipper, Source
from edge.ship.target import Batch, Progress

COUNT = 400
NOW = Instant(10**12, 1_800_000_000_000_000)
PAGE = 4096


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger of many pages with a checkpoint, never to be changed."""
    made = tmp_path_factory.mktemp("original") / "ledger.db"
    ledger = open_sql_ledger(url(made))
    ledger.append(arrivals(1, COUNT))
    ledger.save_checkpoint(COUNT // 2, b"state")
    ledger.close()
    return made


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    """A copy to damage, which its group may write."""
    made = Path(shutil.copy(original, tmp_path))
    made.chmod(0o660)
    return made


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def everything(ledger: Ledger) -> list[Entry]:
    return list(read_all(ledger))


def mended(path: Path, now: Instant = NOW) -> tuple[list[Entry], Mended]:
    """Open it as a daemon does, and close it; what was read, and what had to be done."""
    ledger, found, done = open_mended(url(path), everything, now)
    ledger.close()
    assert done is not None
    return found, done


def overwrite(path: Path, text: bytes, number: int = 0) -> None:
    """The page in which this text stands for the first (0) time, wholly."""
    content = path.read_bytes()
    place = -1
    for _ in range(number + 1):
        place = content.index(text, place + 1)
    with path.open("r+b") as file:
        file.seek(place // PAGE * PAGE)
        file.write(b"\xaa" * PAGE)


def leg(sequence: int) -> bytes:
    """What stands in the page of this fact, and in no index."""
    return f"leg-{sequence:012d}".encode()


def kept_of(path: Path) -> Path:
    (kept,) = [file for file in path.parent.glob("*.damaged-*") if not file.name.endswith(("-wal", "-shm"))]
    return kept


def holes(entries: list[Entry]) -> list[tuple[int, int]]:
    return [(e.fact.first, e.sequence) for e in entries if isinstance(e.fact, FactsLost)]


def test_a_page_in_the_middle(path: Path) -> None:
    """The facts of that page are lost, and named in their place; all others are what they were, hash by hash."""
    before = {record["sequence"]: record for record in export(url(path))}
    overwrite(path, leg(200))
    damaged = path.read_bytes()
    found, done = mended(path)
    ((first, last),) = holes(found)
    assert first <= 200 <= last < first + 20
    assert done.lost == ((first, last),)
    assert [entry.sequence for entry in found] == [*range(1, first), *range(last, COUNT + 1)]
    after = {record["sequence"]: record for record in export(url(path))}
    marker = after.pop(last)
    assert after == {n: record for n, record in before.items() if not first <= n <= last}
    assert marker["kind"] == "FactsLost"
    kept = kept_of(path)
    assert done.kept_as == kept.name
    assert kept.read_bytes() == damaged
    assert {oct(file.stat().st_mode & 0o777) for file in (kept, path)} == {"0o660"}


def test_the_ledger_goes_on(path: Path) -> None:
    """It is the same one, appended to where it ended; a second start finds nothing to mend, and the chain says what it misses."""
    with closing(open_sql_ledger(url(path))) as before:
        ledger_id = before.ledger_id
    overwrite(path, leg(200))
    found, _ = mended(path)
    with closing(open_sql_ledger(url(path))) as ledger:
        ledger.append(arrivals(COUNT + 1, 3))
        assert (ledger.ledger_id, ledger.last_sequence()) == (ledger_id, COUNT + 3)
        assert ledger.load_checkpoint() == (COUNT // 2, b"state")
    again = open_mended(url(path), everything, NOW)
    again[0].close()
    assert again[2] is None
    checked = verify(url(path))
    assert checked.sound
    assert list(checked.holes) == holes(found)
    ((first, last),) = checked.holes
    assert f"entries {first} to {last}" in checked.explanation


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE facts SET body = replace(body, 'first', 'frist'), reason = 'so' WHERE kind = 'FactsLost'",
        "UPDATE facts SET reason = 'another' WHERE sequence = {before}",
        "UPDATE facts SET reason = 'another' WHERE sequence = {behind} + 1",
        "DELETE FROM facts WHERE kind = 'FactsLost'",
    ],
)
def test_a_mended_ledger_is_still_evidence(path: Path, statement: str) -> None:
    """Whatever is changed after that is found: the fact that names the hole, and those around it."""
    overwrite(path, leg(200))
    found, _ = mended(path)
    ((first, last),) = holes(found)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement.format(before=first - 1, behind=last + 1))
    assert verify(url(path)).damage is not None


@pytest.mark.parametrize(("share", "whole"), [(0.3, False), (0.7, False), (0.95, True)])
def test_a_file_that_was_cut_off(path: Path, share: float, whole: bool) -> None:
    """No sequence is given twice: the end of the ledger is where it was, and what is missing up to there is named."""
    os.truncate(path, int(path.stat().st_size * share) // PAGE * PAGE)
    found, done = mended(path)
    assert found[-1].sequence == COUNT
    lost = sum(last - first + 1 for first, last in done.lost)
    assert done.facts + lost == COUNT
    assert (lost == 0) is whole
    assert verify(url(path)).sound


def test_cut_off_twice(path: Path) -> None:
    """What was appended behind the first hole is linked to the hash of the fact that was lost, and is proved by it."""
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)
    first, _ = mended(path)
    with closing(open_sql_ledger(url(path))) as ledger:
        ledger.append(arrivals(COUNT + 1, COUNT))
    assert verify(url(path)).sound
    overwrite(path, leg(COUNT + 100))
    second, done = mended(path, NOW.plus(60.0))
    assert holes(second) == [*holes(first), *done.lost]
    assert len(done.lost) == 1
    assert verify(url(path)).sound


@pytest.mark.parametrize("lost_bytes", [100, 512, PAGE])
def test_a_file_without_its_beginning(path: Path, lost_bytes: int) -> None:
    """The first page says where everything else is, and is the same in all ledgers: nothing is lost with it."""
    with closing(open_sql_ledger(url(path))) as before:
        ledger_id = before.ledger_id
        before.save_checkpoint(COUNT, b"state" * PAGE)
        before.erase([3], warrant=Warrant("ann", "request 12"))  # and checkpoints, whose pages are free now
        with before.maintenance() as maintenance:
            held = Hold(hold=0, since_utc_us=1, by="", why="", call_id="call-000000000001")
            maintenance.hold(Warrant("ann", "a case"), held)
        audit, holds = list(before.audit()), before.holds()
    with path.open("r+b") as file:
        file.write(b"\xaa" * lost_bytes)
    damaged = path.read_bytes()
    found, done = mended(path)
    assert (done.lost, done.also, done.facts, len(found)) == ((), (), COUNT, COUNT)
    assert kept_of(path).read_bytes() == damaged
    assert list(path.parent.glob("*.mend*")) == []
    with closing(open_sql_ledger(url(path))) as after:
        assert (after.ledger_id, list(after.audit()), after.holds()) == (ledger_id, audit, holds)
        assert verify(after).erased == 1


def test_a_file_without_its_beginning_and_with_a_hole(path: Path) -> None:
    """What the other pages had is read as ever."""
    overwrite(path, leg(200))
    with path.open("r+b") as file:
        file.write(b"\xaa" * PAGE)
    found, done = mended(path)
    ((first, last),) = holes(found)
    assert done.lost == ((first, last),)
    assert verify(url(path)).sound


def test_a_file_without_its_beginning_whose_tables_began_elsewhere(path: Path) -> None:
    """As where tables were added to it later: nothing is taken for what it is not."""
    later = (schema.audit, schema.erased, schema.holds)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("".join(f"DROP TABLE {table.name};" for table in later))
        connection.execute("VACUUM")
    engine = create_engine(url(path))
    schema.metadata.create_all(engine, tables=later)
    engine.dispose()
    with path.open("r+b") as file:
        file.write(b"\xaa" * PAGE)
    mended(path)
    with closing(open_sql_ledger(url(path))) as after:
        assert (list(after.audit()), after.holds()) == ([], [])
        assert verify(after).sound


@pytest.mark.parametrize("nothing_left", [False, True])
def test_a_file_of_which_nothing_can_be_read(path: Path, nothing_left: bool) -> None:
    """It is another ledger then, and its first fact says so."""
    if nothing_left:
        Heartbeat.beside(url(path)).write(NOW, "boot")  # type: ignore[union-attr]
        os.truncate(path, 0)
    else:
        path.write_bytes(b"\xaa" * path.stat().st_size)
    found, done = mended(path)
    assert holes(found) == [(1, 1)]
    assert done.facts == 0
    assert "a new ledger for all who read it" in str(done)
    assert verify(url(path)).sound


def test_an_empty_file_that_nobody_served_on_is_a_new_ledger(tmp_path: Path) -> None:
    """As it is after a first start that was killed before the tables were made."""
    made = tmp_path / "ledger.db"
    made.touch()
    ledger, found, done = open_mended(url(made), everything, NOW)
    ledger.close()
    assert (found, done) == ([], None)


def test_a_fact_that_nobody_wrote_like_that(path: Path) -> None:
    """SQLite does not notice a changed text. The fact is lost, and the next one still follows from its hash."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE facts SET body = replace(body, 'leg_id', 'lug_id') WHERE sequence = 77")
    found, done = mended(path)
    assert holes(found) == [(77, 77)]
    assert done.facts == COUNT - 1
    assert [entry for entry in found if entry.sequence != 77] == [
        entry for entry in arrivals(1, COUNT) if entry.sequence != 77
    ]
    assert verify(url(path)).sound


def test_a_fact_of_a_newer_version_is_no_damage(path: Path) -> None:
    """A chain that holds means that this program cannot read it: nothing is set aside."""

    def refuses(_: Ledger) -> None:
        raise UnreadableError("entry 5 (NewKind) cannot be read")

    with pytest.raises(LedgerError, match="NewKind"):
        open_mended(url(path), refuses, NOW)
    assert list(path.parent.glob("*.damaged-*")) == []


def test_personal_data_that_is_lost(path: Path) -> None:
    """The facts stay; how many have lost it is told."""
    overwrite(path, b"+447700900123")
    found, done = mended(path)
    assert "personal data of" in str(done)
    assert done.lost == ()
    assert len(found) == COUNT
    checked = verify(url(path))
    assert checked.sound
    assert checked.erased > 0


def test_what_stands_in_the_wal_alone_is_read(tmp_path: Path) -> None:
    """As a kill leaves it: the newest facts have not reached the file itself."""
    source, path = tmp_path / "living.db", tmp_path / "ledger.db"
    ledger = open_sql_ledger(url(source))
    ledger.append(arrivals(1, COUNT))
    with closing(sqlite3.connect(source)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.append(arrivals(COUNT + 1, 5))
    for suffix in ("", "-wal"):
        shutil.copy(source.with_name(source.name + suffix), path.with_name(path.name + suffix))
    ledger.close()
    overwrite(path, leg(10))
    found, done = mended(path)
    assert [entry.sequence for entry in found[-6:]] == [*range(COUNT, COUNT + 6)]
    assert done.lost == tuple(holes(found))


def test_damaged_a_second_time(path: Path) -> None:
    """The first hole stays what it is, and the second is named beside it."""
    overwrite(path, leg(100))
    first, _ = mended(path)
    overwrite(path, leg(300))
    second, done = mended(path, NOW.plus(60.0))
    assert holes(second) == [*holes(first), *done.lost]
    assert len(done.lost) == 1
    assert verify(url(path)).sound
    assert len({file.name.partition("Z")[0] for file in path.parent.glob("*.damaged-*")}) == 2


def test_one_whole_hole_that_grows(path: Path) -> None:
    """The fact that named the first hole is lost itself: everything from there on is named anew."""
    overwrite(path, leg(100))
    ((first, last),) = holes(mended(path)[0])
    overwrite(path, leg(last + 1))
    found, _ = mended(path, NOW.plus(60.0))
    ((begin, end),) = holes(found)
    assert begin <= first
    assert end >= last
    assert verify(url(path)).sound


@pytest.mark.parametrize("survives", range(6))
def test_a_crash_while_it_is_set_aside(path: Path, survives: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any step, the next start ends with the same facts, and the damaged file is kept once."""
    with closing(sqlite3.connect(path)) as reader:  # a WAL beside it
        reader.execute("UPDATE meta SET head_sequence = head_sequence")
        shutil.copy(path, path.with_name("copy"))
    overwrite(path, leg(200))
    replaced, left = Path.replace, [survives]

    def dies(this: Path, whither: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        replaced(this, whither)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dies)
        try:
            open_mended(url(path), everything, NOW)[0].close()
        except KeyboardInterrupt:
            assert survives < 5
    ledger, found, _ = open_mended(url(path), everything, NOW.plus(1.0))
    ledger.close()
    assert len(holes(found)) == 1
    assert found[-1].sequence == COUNT
    assert kept_of(path).exists()
    assert list(path.parent.glob("*.mend*")) == []


def test_a_disk_that_takes_no_new_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged file stays where it is, and the error says what to do."""
    overwrite(path, leg(200))
    damaged = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LedgerError, match="free space on its file system"):
        open_mended(url(path), everything, NOW)
    assert path.read_bytes() == damaged


def test_another_daemon_mends_nothing_meanwhile(path: Path) -> None:
    """Only who holds the lock."""
    overwrite(path, leg(200))
    damaged = path.read_bytes()
    lock = lock_ledger(url(path))
    assert lock is not None
    with pytest.raises(LedgerError, match="another daemon"):
        open_mended(url(path), everything, NOW)
    assert path.read_bytes() == damaged
    lock.release()


def served(path: Path, damage: Callable[[Path], None]) -> tuple[SqlLedger, MendingLedger, list[Mended]]:
    """A daemon's ledger whose file is damaged under its hands, in a way that its next commit meets."""
    ledger = open_ledger(url(path))
    assert isinstance(ledger, SqlLedger)
    told: list[Mended] = []
    ledger.append(arrivals(COUNT + 1, 1))
    damage(path)
    return ledger, MendingLedger(ledger, path, lambda: NOW, told.append), told


def overwrite_root(path: Path) -> None:
    """Everything but the first page, of the file and of what its WAL would put over it."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(b"\xaa" * (path.stat().st_size - PAGE))


def test_a_file_that_is_damaged_while_we_serve(path: Path) -> None:
    """The commit that meets it is not lost: it goes into the new file, at its sequence, whatever was lost before it."""
    ledger, mending_ledger, told = served(path, overwrite_root)
    ledger.let_go()  # as if its pages had left the cache
    executor = ThreadCommitExecutor(mending_ledger)
    executor.submit(arrivals(COUNT + 2, 2)).result()
    executor.close()
    (done,) = told
    assert done.lost == ((1, COUNT + 1),)
    assert [entry.sequence for entry in everything(mending_ledger)] == [COUNT + 1, COUNT + 2, COUNT + 3]
    mending_ledger.close()
    assert verify(url(path)).sound


def test_a_disk_that_damages_again_at_once(path: Path) -> None:
    """It is not set aside again and again: the daemon goes on from memory then."""
    ledger, mending_ledger, told = served(path, overwrite_root)
    ledger.let_go()
    mending_ledger.append(arrivals(COUNT + 2, 2))
    ledger.let_go()
    overwrite_root(path)
    with pytest.raises(DamagedError):
        mending_ledger.append(arrivals(COUNT + 4, 2))
    assert len(told) == 1
    mending_ledger.close()


def test_verification_names_a_hole_that_nobody_declared(path: Path) -> None:
    """A missing fact is still a missing fact."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM facts WHERE sequence = 9")
    assert verify(url(path)).damage is Damage.MISSING


class Copied:
    """A copy in memory of what was shipped."""

    def __init__(self) -> None:
        self.at = Progress(Head(0, ""))
        self.records: dict[int, Record] = {}

    def prepare(self) -> None:
        """Nothing to make."""

    def register(self, ledger_id: str, name: str, created_utc_us: int, *, replaced: bool) -> None:
        """There is one."""
        if self.at.head.sequence == 0:
            self.at = Progress(genesis(ledger_id))

    def progress(self) -> Progress:
        return self.at

    def put(self, batch: Batch) -> bool:
        assert not {record.row.sequence for record in batch.records} & self.records.keys()
        self.records |= {record.row.sequence: record for record in batch.records}
        self.at = batch.progress
        return True

    def close(self) -> None:
        """Nothing to let go."""

    def page(self, after: int | None, limit: int) -> tuple[list[Record], Anchors]:
        found = [self.records[n] for n in sorted(self.records) if n > (after or 0)][:limit]
        return found, Anchors(self.ledger_id, self.at.head, 0, None)

    ledger_id = ""


def ship(path: Path, copy: Copied, facts: int | None = None) -> None:
    """Ship so many facts, or all."""
    shipper = Shipper(
        Source(url(path), "test"), lambda: copy, lambda _: facts is not None, batch=facts or 5000
    )
    shipper.run_until_level()
    shipper.close()


@pytest.mark.parametrize("shipped", [0, 200, COUNT])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_copy_goes_on_wherever_it_had_come_to(path: Path, shipped: int, cut_off: bool) -> None:
    """Before the hole, in it or behind it: nothing is shipped twice, and what the copy has more is kept."""
    copy = Copied()
    with closing(open_sql_ledger(url(path))) as ledger:
        copy.ledger_id = ledger.ledger_id
    if shipped:
        ship(path, copy, shipped)
    if cut_off:
        os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)
    else:
        overwrite(path, leg(200))
    _, done = mended(path)
    with closing(open_sql_ledger(url(path))) as ledger:
        ledger.append(arrivals(COUNT + 1, 3))
    ship(path, copy)
    missing = {n for first, last in done.lost for n in range(first, last) if n > shipped}
    assert set(range(1, COUNT + 4)) - copy.records.keys() == missing
    assert verify_chain(copy).sound
    ship(path, copy)


@pytest.mark.parametrize("position", [1, 200, COUNT])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_reader_goes_on_wherever_it_had_come_to(path: Path, position: int, cut_off: bool) -> None:
    """MI's cursor holds, also at a fact that is lost since."""
    with closing(open_reader(url(path))) as reader:
        before = read_page(reader, Selection(), Start(), position)
    if cut_off:
        os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)
    else:
        overwrite(path, leg(200))
    found, _ = mended(path)
    with closing(open_reader(url(path))) as reader:
        page = read_page(reader, Selection(), Start(before.position, before.ledger_id, before.hash), 5000)
    assert [row[0] for row in page.facts] == [e.sequence for e in found if e.sequence > position]


def test_a_reader_of_another_record_is_still_told_so(path: Path) -> None:
    """A fact that is there and is another than the one that was given."""
    overwrite(path, leg(200))
    mended(path)
    with closing(open_reader(url(path))) as reader, pytest.raises(MovedError):
        read_page(reader, Selection(), Start(100, reader.ledger_id, "0" * 16), 10)
