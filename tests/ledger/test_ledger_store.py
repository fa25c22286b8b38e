"""The ledger on SQLite when something is wrong: every refusal says what, where and how to mend it, and is survived."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.core.facts import CallArrived, Entry
from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.sqlite import SqliteFile
from edge.ledger.store import (
    CALLS_AT_ONCE,
    SqlLedger,
    erase,
    export,
    head,
    open_ledger,
    open_reader,
    open_sql_ledger,
    statistics,
    verify,
)
from edge.ports import LedgerError

NOBODY = 65534
ANN = Warrant("ann", "request 12/2026")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    made = open_sql_ledger(url)
    made.append(arrivals(1, 3))
    yield made
    made.close()


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A place that another user can reach, for what root is always allowed."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place / "ledger.db"
    shutil.rmtree(place)


def written(path: Path) -> str:
    made = open_sql_ledger(f"sqlite:///{path}")
    made.append(arrivals(1, 3))
    made.close()
    return f"sqlite:///{path}"


def pragma(ledger: SqlLedger, statement: str) -> int:
    """Run a PRAGMA on the one connection that the pool holds."""
    with ledger._engine.connect() as connection:
        result = connection.exec_driver_sql(f"PRAGMA {statement}")
        return int(result.scalar_one()) if result.returns_rows else 0


def as_nobody(work: Callable[[], object]) -> str:
    """What `work` returned or refused, done by a user without rights. No connection may be open across this fork."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            os.write(send, str(work()).encode())
        except LedgerError as error:
            os.write(send, str(error).encode())
        finally:
            os._exit(0)
    os.close(send)
    os.waitpid(child, 0)
    with os.fdopen(receive) as pipe:
        return pipe.read()


def test_settings_are_durable(ledger: SqlLedger) -> None:
    """WAL, synchronous FULL (2), foreign keys on, deleted data overwritten."""
    found = [pragma(ledger, name) for name in ("synchronous", "foreign_keys", "secure_delete")]
    with ledger._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert found == [2, 1, 1]


def test_no_commit_copies_the_wal_into_the_file_but_tidying_does(path: Path, ledger: SqlLedger) -> None:
    """Once in five hundred facts, however often it is asked; a reader in the midst of the WAL is no hindrance."""
    first, untouched = ledger.last_sequence() + 1, path.stat().st_size
    for begin in range(first, first + 2_000, 4):
        ledger.append(arrivals(begin, 4))
    assert path.with_name("ledger.db-wal").stat().st_size > 1_000 * 4096
    assert path.stat().st_size == untouched
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count = reader.execute("SELECT count(*) FROM facts").fetchone()
        ledger.tidy()
        moved = path.stat().st_size
        assert moved > untouched
        ledger.append(arrivals(first + 2_000, 400))
        ledger.tidy()
        assert path.stat().st_size == moved
        assert reader.execute("SELECT count(*) FROM facts").fetchone() == count
    ledger.append(arrivals(first + 2_400, 100))
    ledger.tidy()
    assert path.stat().st_size > moved
    assert verify(ledger).count == first - 1 + 2_500


def test_the_file_is_not_for_everybody(path: Path, ledger: SqlLedger) -> None:
    """Callers' numbers are in it: others on the machine cannot read database or WAL."""
    wal = path.with_name("ledger.db-wal")
    assert [file.stat().st_mode & 0o007 for file in (path, wal)] == [0, 0]


def test_a_reopened_ledger_goes_on(url: str, path: Path) -> None:
    """Closed and opened again, it continues its sequence and its chain."""
    written(path)
    with closing(open_sql_ledger(url, create=False)) as again:
        again.append(arrivals(4, 2))
        assert list(again.read()) == arrivals(1, 5)
        assert verify(again).count == 5


def test_two_daemons_never_share_a_ledger(url: str, path: Path, ledger: SqlLedger) -> None:
    """The second is refused and told who holds it, also by another name of the same file."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    for name in (url, f"sqlite:///{link}"):
        with pytest.raises(LedgerError, match=rf"another daemon writes to it \(pid {os.getpid()}\)"):
            open_ledger(name)
    ledger.append(arrivals(4, 1))


def test_a_closed_ledger_lets_the_next_daemon_in(url: str, path: Path) -> None:
    """The lock goes with its owner, also when opening fails half-way."""
    path.write_bytes(b"no database, but long enough to be looked at" * 100)
    for _ in range(2):
        with pytest.raises(LedgerError, match="is no SQLite database"):
            open_ledger(url)


def test_locked_by_another_connection(path: Path, ledger: SqlLedger) -> None:
    """While another program holds the write lock an append is refused in bounded time; after it, it succeeds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            LedgerError, match=rf"ledger {path}: another program holds it locked \(SQLITE_BUSY\)"
        ):
            ledger.append(arrivals(4, 2))
        assert ledger.last_sequence() == 3
        other.execute("ROLLBACK")
    ledger.append(arrivals(4, 2))
    assert verify(ledger).count == 5


def test_a_ledger_that_became_read_only(ledger: SqlLedger) -> None:
    """A refused write leaves nothing behind, and the next one succeeds."""
    pragma(ledger, "query_only = ON")
    with pytest.raises(
        LedgerError, match=r"it may not be written \(SQLITE_READONLY\); give the daemon's user"
    ):
        ledger.append(arrivals(4, 2))
    pragma(ledger, "query_only = OFF")
    ledger.append(arrivals(4, 2))
    assert list(ledger.read(3)) == arrivals(4, 2)


def test_a_full_disk(ledger: SqlLedger) -> None:
    """A batch that does not fit leaves no part of itself; with space again, it goes in."""
    pragma(ledger, f"max_page_count = {pragma(ledger, 'page_count') + 2}")
    with pytest.raises(LedgerError, match=r"the disk is full \(SQLITE_FULL\); free space"):
        ledger.append(arrivals(4, 500))
    assert (ledger.last_sequence(), len(ledger.read())) == (3, 3)
    pragma(ledger, "max_page_count = 1000000")
    ledger.append(arrivals(4, 500))
    assert verify(ledger).count == 503


def test_a_disk_that_fails(path: Path, ledger: SqlLedger) -> None:
    """The kernel refuses a write to the WAL: nothing of the batch is seen, and the next append succeeds."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name("ledger.db-wal").stat().st_size
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(LedgerError, match=r"the disk failed to read or write \(SQLITE_IOERR_WRITE\)"):
            ledger.append(arrivals(4, 50))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert ledger.last_sequence() == 3
    ledger.append(arrivals(4, 50))
    assert verify(ledger).count == 53


def test_a_disk_that_fails_while_tidying(path: Path, ledger: SqlLedger) -> None:
    """It says nothing, as whether the ledger takes facts is for commits to tell, and is done the next time."""
    ledger.append(arrivals(4, 500))
    limits, untouched = resource.getrlimit(resource.RLIMIT_FSIZE), path.stat().st_size
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (untouched, limits[1]))
    try:
        ledger.tidy()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == untouched
    ledger.append(arrivals(504, 500))
    ledger.tidy()
    assert path.stat().st_size > untouched
    assert verify(ledger).count == 1_003


def test_a_damaged_file(path: Path) -> None:
    """Overwritten pages are named as damage, with what to do."""
    url = written(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(
        LedgerError, match=r"the file is damaged \(SQLITE_CORRUPT\); stop the daemon, keep the file"
    ):
        verify(url)


def test_a_file_that_may_not_be_written(public_path: Path) -> None:
    """A daemon without permission on the file is refused at its start."""
    url = written(public_path)
    public_path.chmod(0o444)
    public_path.parent.chmod(0o777)
    public_path.with_name("ledger.db.lock").chmod(0o666)
    said = as_nobody(lambda: open_ledger(url))
    assert said.startswith(f"ledger {public_path.resolve()}: it may not be written (access(2))")


def test_a_directory_that_may_not_be_written(public_path: Path) -> None:
    """A daemon without permission on the directory is refused at its start, with or without a ledger in it."""
    place = public_path.resolve()
    said = as_nobody(lambda: open_ledger(f"sqlite:///{public_path}"))
    assert said.startswith(f"ledger {place}: cannot be created: Permission denied ({place}); give")
    url = written(public_path)
    public_path.chmod(0o666)
    assert "ledger.db.lock cannot be opened: Permission denied" in as_nobody(lambda: open_ledger(url))


def test_a_reader_without_rights_reads_a_ledger_at_rest(public_path: Path) -> None:
    """A cleanly closed ledger is readable by a user who may write neither file nor directory."""
    url = written(public_path)
    public_path.chmod(0o444)
    assert as_nobody(lambda: open_reader(url).last_sequence()) == "3"
    assert [file.name for file in public_path.parent.iterdir() if "-" in file.name] == []


def test_a_reader_without_rights_meets_a_closed_door(public_path: Path) -> None:
    """A file that may not be read is an error with its cause."""
    url = written(public_path)
    public_path.chmod(0o600)
    assert "it cannot be opened (SQLITE_CANTOPEN)" in as_nobody(lambda: open_reader(url))


def test_a_reader_cannot_write(url: str, ledger: SqlLedger) -> None:
    """Not even by mistake: the file is open for reading only."""
    with closing(open_reader(url)) as reader, pytest.raises(LedgerError, match="it may not be written"):
        SqlLedger(reader._place, reader._engine).append(arrivals(4, 1))


def test_a_reader_sees_what_is_committed(url: str, ledger: SqlLedger) -> None:
    """A reader opened before an append sees it after."""
    with closing(open_reader(url)) as reader:
        ledger.append(arrivals(4, 1))
        ledger.save_checkpoint(4, b"x")
        assert (list(reader.read()), reader.load_checkpoint()) == (arrivals(1, 4), (4, b"x"))


def test_a_kept_reader_sees_what_is_committed_and_erased(url: str, path: Path, ledger: SqlLedger) -> None:
    """It keeps the file open, and nothing alive in it: while it waits, what is erased leaves every file."""
    with closing(open_reader(url, kept=True)) as reader:
        assert len(reader.read()) == 3
        ledger.append(arrivals(4, 1))
        assert list(reader.read()) == arrivals(1, 4)
        assert erase(url, sequences=range(1, 5), warrant=ANN).purged is True
        assert [file.name for file in path.parent.iterdir() if b"7700900123" in file.read_bytes()] == []
        assert reader.personal_data(0, 10) == []


def test_a_kept_reader_reads_while_the_writer_never_rests(
    url: str, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is another each time that somebody looks: its WAL is being moved into it."""
    looks = itertools.count()
    monkeypatch.setattr(SqliteFile, "_files", lambda _: ((next(looks),), ()))
    with closing(open_reader(url, kept=True)) as reader:
        for last in range(4, 10):
            ledger.append(arrivals(last, 1))
            assert list(reader.read()) == arrivals(1, last)


@pytest.mark.parametrize("put", [shutil.move, shutil.copyfile])
@pytest.mark.parametrize("running", [False, True])
def test_a_kept_reader_reads_the_ledger_that_is_there_now(
    url: str, path: Path, tmp_path: Path, put: Callable[[str, Path], object], running: bool
) -> None:
    """A restored copy, moved or written into the place of the old one; and what is appended to it."""
    written(path)
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other" / "ledger.db")
    with closing(open_reader(url, kept=True)) as reader:
        before = reader.ledger_id
        if running:
            open_sql_ledger(url).close()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        put(other.removeprefix("sqlite:///"), path)
        with closing(open_sql_ledger(url)) as restored:
            assert reader.ledger_id == restored.ledger_id != before
            restored.append(arrivals(4, 2))
            assert list(reader.read()) == arrivals(1, 5)
        assert list(reader.read()) == arrivals(1, 5)
        path.unlink()
        with pytest.raises(LedgerError, match="SQLITE_CANTOPEN"):
            reader.read()


@pytest.mark.parametrize(
    "use",
    [
        open_reader,
        lambda url: open_ledger(url, create=False),
        verify,
        head,
        lambda url: erase(url, warrant=ANN),
    ],
)
def test_a_missing_ledger_is_not_made_by_looking(url: str, path: Path, use: Callable[[str], object]) -> None:
    """Only the daemon creates a ledger; everything else says that there is none."""
    with pytest.raises(LedgerError, match="there is no such file; `edge run` makes it"):
        use(url)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("ledger.db", "'ledger.db' is no ledger URL: write sqlite:///path/to/ledger.db"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://host/ledger", "a ledger in mysql is not supported"),
    ],
)
def test_a_wrong_url_is_explained(wrong: str, said: str) -> None:
    """A URL that cannot be a ledger is refused with one that can."""
    with pytest.raises(LedgerError, match=said):
        open_ledger(wrong)


def test_a_database_of_something_else_is_left_alone(url: str, path: Path) -> None:
    """No tables are put into another program's database."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    for use in (open_ledger, open_reader):
        with pytest.raises(LedgerError, match="this database is no Edge101 ledger; name another"):
            use(url)


def test_an_empty_file_is_prepared_by_the_daemon_only(url: str, path: Path) -> None:
    """A reader that comes first is told to wait for the daemon."""
    path.touch()
    with pytest.raises(LedgerError, match="it is still empty; `edge run` prepares it"):
        open_reader(url)
    with closing(open_sql_ledger(url)) as made:
        assert made.last_sequence() == 0


def test_only_two_checkpoints_are_kept(path: Path, ledger: SqlLedger) -> None:
    """Older checkpoints go, so that the file does not grow by them."""
    for sequence in (0, 1, 2, 3):
        ledger.save_checkpoint(sequence, b"state")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT sequence FROM checkpoints").fetchall() == [(2,), (3,)]


def test_erased_data_is_in_no_file(path: Path, url: str, ledger: SqlLedger) -> None:
    """After erasing beside a living daemon, database, WAL and checkpoints hold no trace of the number."""
    ledger.append(arrivals(4, 700))
    ledger.save_checkpoint(700, b"+447700900123" * 1000)
    done = erase(
        url, sequences=range(1, 600), call_ids=[f"call-{n:012d}" for n in range(600, 704)], warrant=ANN
    )
    assert (done.facts, done.checkpoints, done.purged) == (703, 1, True)
    assert [file.name for file in path.parent.iterdir() if b"7700900123" in file.read_bytes()] == []
    ledger.append(arrivals(704, 1))
    verification = verify(url)
    assert (verification.sound, verification.count, verification.erased) == (True, 704, 703)


def test_erasing_says_when_it_is_not_yet_purged(path: Path, url: str, ledger: SqlLedger) -> None:
    """A reader in the middle of a transaction keeps the old pages alive: that is told, and erasing again purges them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM personal").fetchone()
        assert ledger.erase([1], warrant=ANN).purged is False
        other.execute("ROLLBACK")
    assert ledger.erase([1], warrant=ANN).purged is True


def test_statistics(url: str, path: Path, ledger: SqlLedger) -> None:
    """Counts, times, head, checkpoint and size."""
    ledger.save_checkpoint(2, b"x")
    erase(url, [3], warrant=ANN)
    ledger.save_checkpoint(3, b"x")
    found = statistics(url)
    assert (found.facts, found.first_utc_us, found.last_utc_us) == (3, 1, 3)
    assert (found.personal, found.erased, found.checkpoint_sequence) == (2, 1, 3)
    assert (found.head, found.head.sequence) == (head(url), 3)
    assert found.size_bytes >= path.stat().st_size


def test_export_is_every_record_in_order(url: str, ledger: SqlLedger) -> None:
    """Exporting from a cursor goes to the end, page by page."""
    ledger.append(arrivals(4, 1200))
    assert [record["sequence"] for record in export(url, after=2)] == list(range(3, 1204))


def test_errors_hold_no_personal_data(ledger: SqlLedger) -> None:
    """Neither the message nor what SQLAlchemy adds beneath it shows a number: both reach logs."""
    pragma(ledger, "query_only = ON")
    with pytest.raises(LedgerError) as refused:
        ledger.append(arrivals(4, 1))
    assert "7700900123" not in f"{refused.value} {refused.value.__cause__}"


def call_of(entry: Entry) -> str:
    assert isinstance(entry.fact, CallArrived)
    return entry.fact.call_id


def test_which_calls_are_known_is_told_of_more_than_one_query_names(ledger: SqlLedger, url: str) -> None:
    """Each once, however many; of those that nobody knows, nothing."""
    ledger.append(arrivals(4, 2 * CALLS_AT_ONCE))
    there = [call_of(entry) for entry in arrivals(1, 2 * CALLS_AT_ONCE + 3)]
    with closing(open_reader(url)) as reader:
        assert reader.known_calls([*there, "call-of-nobody"]) == set(there)
        assert reader.known_calls([]) == set()
