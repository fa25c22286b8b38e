"""Copying a ledger into the shared database: every fact once, in order, checked, whatever fails in between."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from edge.core.facts import AgentBecameNotReady
from edge.core.model import Instant
from edge.errors import PermanentError
from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.mending import open_mended
from edge.ledger.store import erase, open_reader, open_sql_ledger, verify
from edge.ledger.synthesise import synthesise
from edge.mi.projection import Projection
from edge.mi.stream import Selection, Start, read_page
from edge.ports import LedgerError, read_all
from edge.ship import shipping
from edge.ship.schema import REVISIONS, metadata
from edge.ship.shipping import ALARM_AGAIN_SECONDS, LONGEST_DELAY_SECONDS, Shipper, Source
from edge.ship.target import Batch, Target
from tests.ship.conftest import Shared, Ship, append, level

ANN = Warrant("ann", "request 12")


def test_the_migrations_make_the_schema_in_use(shared: Shared, shipper: Ship, url: str) -> None:
    """From nothing, and once; its own list of revisions is Alembic's."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    from edge.ledger import migrations
    from edge.ship import migrations as ours

    script = ScriptDirectory.from_config(migrations.alembic_config(Path(next(iter(ours.__path__)))))
    assert tuple(each.revision for each in reversed(list(script.walk_revisions()))) == REVISIONS
    level(shipper(url))
    engine = create_engine(shared.url)
    options = {
        "include_schemas": True,
        "version_table_schema": "edge101",
        "include_object": lambda _, name, *__: name != "alembic_version",
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_a_copy_reads_as_the_ledger_does(shared: Shared, shipper: Ship, url: str) -> None:
    """Every fact, personal data too, what a database cannot hold included; its chain holds, with the same head."""
    odd = replace(
        arrivals(26, 1)[0], fact=AgentBecameNotReady(agent="4001\0", reason="meal\t\\N\n"), reason="\0\ufdd0"
    )
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append([odd])
    assert level(shipper(url)).head.sequence == 26
    with closing(open_reader(url)) as reader, closing(open_reader(shared.copy_of(url))) as copy:
        assert list(copy.read()) == list(reader.read())
        assert list(copy.read_call("call-000000000007")) == list(reader.read_call("call-000000000007"))
        assert copy.head() == reader.head()
        assert verify(copy).count == 26


@pytest.mark.parametrize("shipped", [0, 200, 400])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_hole_that_damage_left(
    shared: Shared, shipper: Ship, tmp_path: Path, shipped: int, cut_off: bool
) -> None:
    """Wherever the copy had come to: it goes on, has what the ledger lost if it had it before, and says itself what it misses."""
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    append(url, 400)
    first = shipper(url)
    for _ in range(shipped // 10):
        first.step()
    first.close()
    content = path.read_bytes()
    begins = content.index(b"leg-000000000195") // 4096 * 4096
    path.write_bytes(
        content[: len(content) // 2]
        if cut_off
        else content.replace(content[begins : begins + 4096], b"\xaa" * 4096)
    )
    mended, _, done = open_mended(url, lambda ledger: list(read_all(ledger)), Instant(1, 2))
    mended.close()
    assert done is not None
    append(url, 5)
    level(shipper(url))
    missing = {n for low, high in done.lost for n in range(low, high) if n > shipped}
    copy = shared.copy_of(url)
    assert {row[0] for row in shared.rows("SELECT sequence FROM edge101.facts")} == set(
        range(1, 406)
    ) - missing
    checked = verify(copy)
    assert (checked.sound, checked.count) == (True, 405 - len(missing))
    assert bool(checked.holes) == bool(missing)
    with closing(open_reader(copy)) as reader, closing(open_reader(url)) as source:
        page = read_page(reader, Selection(), Start(), 1000)
        assert [row[0] for row in page.facts] == [n for n in range(1, 406) if n not in missing]
        assert page.head_hash == source.head().hash
        projection = Projection(reader, None)
        projection.catch_up()
        assert len(projection.changes(-1, 1000)) == 405 - sum(high - low + 1 for low, high in checked.holes)
        projection.close()


def test_it_goes_on_where_it_was(shared: Shared, shipper: Ship, url: str) -> None:
    """What is there is not shipped again, by the same process or by the next."""
    first = shipper(url)
    assert [first.step(), first.step(), first.step(), first.step()] == [True, True, True, False]
    append(url, 3)
    assert (first.step(), first.step()) == (True, False)
    first.close()
    append(url, 12)
    assert level(shipper(url)).head.sequence == 40
    assert shared.verified(url).count == 40


def test_many_appliances_in_one_database(shared: Shared, shipper: Ship, url: str, tmp_path: Path) -> None:
    """Side by side, each with its own sequence and its own chain."""
    urls = {"A": url}
    for name in "BC":
        urls[name] = f"sqlite:///{tmp_path}/{name}.db"
        append(urls[name], 15)
    shippers = [shipper(each, f"Appliance {name}") for name, each in urls.items()]
    for _ in range(4):
        for each in shippers:
            each.step()
    assert [shared.verified(each).count for each in urls.values()] == [25, 15, 15]
    assert shared.rows("SELECT name, position FROM edge101.ledgers ORDER BY name") == [
        ("Appliance A", 25),
        ("Appliance B", 15),
        ("Appliance C", 15),
    ]


def test_erasures_are_followed(shared: Shared, shipper: Ship, url: str) -> None:
    """What was erased before is never sent, what is erased afterwards is erased there too; the audit comes with it."""
    erase(url, sequences=[3], warrant=ANN)
    running = shipper(url)
    running.run_until_level()
    assert personal(shared) == {*range(1, 26)} - {3}
    erase(url, sequences=range(5, 20), warrant=ANN)
    running.run_until_level()
    assert personal(shared) == {1, 2, 4, *range(20, 26)}
    found = shared.verified(url)
    assert (found.sound, found.erased) == (True, 16)
    assert shared.rows("SELECT number, who, why FROM edge101.audit") == [
        (1, "ann", "request 12"),
        (2, "ann", "request 12"),
    ]
    with closing(open_reader(shared.copy_of(url))) as copy, closing(open_reader(url)) as reader:
        assert (list(copy.audit()), copy.verify_audit()) == (list(reader.audit()), None)


class ErasedMeanwhile(Target):
    """Between the reading of a batch and its writing somebody erases what is in it."""

    source = ""

    def put(self, batch: Batch) -> bool:
        if batch.records and not batch.after.head.sequence:
            erase(self.source, sequences=[4], warrant=ANN)
        return super().put(batch)


def test_what_is_erased_on_the_way_does_not_stay(shared: Shared, shipper: Ship, url: str) -> None:
    """A batch that was read before an erasure and written after it is put right by the next."""
    ErasedMeanwhile.source = url
    level(shipper(url, open_copy=lambda: ErasedMeanwhile(shared.url)))
    assert personal(shared) == {*range(1, 26)} - {4}


class AnswerLost(Target):
    """The second commit is carried out, and its answer never comes."""

    puts = 0

    def put(self, batch: Batch) -> bool:
        done = super().put(batch)
        AnswerLost.puts += 1
        if AnswerLost.puts == 2:
            self.close()
            raise LedgerError("the connection was lost")
        return done


def test_a_commit_of_which_nobody_knows(shared: Shared, shipper: Ship, url: str) -> None:
    """The database says how far it came: nothing is written twice."""
    AnswerLost.puts = 0
    running = shipper(url, open_copy=lambda: AnswerLost(shared.url))
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return seconds == 0.25

    running = Shipper(Source(url, "Appliance A"), lambda: AnswerLost(shared.url), wait, batch=10)
    running.run()
    running.close()
    assert waits == [0.0, 0.5, 0.0, 0.25]
    assert shared.verified(url).count == 25


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE facts SET body = replace(body, '101', '999') WHERE sequence = 17", r"\(changed\): entry 17"),
        ("DELETE FROM facts WHERE sequence = 17", r"\(missing\): entry 17 is missing"),
        ("DELETE FROM facts WHERE sequence > 17", r"\(missing\): its end, entries 18 to 25, is missing"),
        ("UPDATE personal SET body = '{}' WHERE sequence = 17", r"\(personal altered\): .*entry 17"),
    ],
)
def test_a_chain_that_does_not_hold(
    shared: Shared, shipper: Ship, url: str, tmp_path: Path, change: str, said: str
) -> None:
    """Nothing from there on is shipped, and a person must look."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute(change)
    with pytest.raises(PermanentError, match=rf"chain does not hold {said}"):
        level(shipper(url))
    assert shared.verified(url).count == 10


def test_an_end_that_was_cut_off_after_it_was_shipped(shipper: Ship, url: str, tmp_path: Path) -> None:
    """Whether anything was written since or not."""
    level(shipper(url))
    for written_since in (0, 3):
        append(url, written_since)
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
            other.execute("DELETE FROM facts WHERE sequence BETWEEN 20 AND 25")
        with pytest.raises(PermanentError, match=r"\(missing\): entry 25, which was shipped, is missing"):
            level(shipper(url))


def test_another_ledger_under_the_same_name(shared: Shared, shipper: Ship, url: str, tmp_path: Path) -> None:
    """It is refused until a person says that it takes the first one's place, which is refused from then on."""
    level(shipper(url))
    second = f"sqlite:///{tmp_path}/second.db"
    append(second, 5)
    with pytest.raises(
        PermanentError, match=r"'Appliance A' another ledger was shipped until now \([0-9a-f]{32}, 25 facts\)"
    ):
        level(shipper(second))
    level(shipper(second, replaced=True))
    assert (shared.verified(second).count, shared.verified(url).count) == (5, 25)
    with pytest.raises(PermanentError, match="was declared replaced by another one"):
        level(shipper(url))


def test_a_ledger_that_is_replaced_meanwhile(shipper: Ship, url: str, tmp_path: Path) -> None:
    """While it is being shipped its file becomes another one."""
    running = shipper(url)
    running.run_until_level()
    append(f"sqlite:///{tmp_path}/second.db", 40)
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{ending}").unlink(missing_ok=True)
    (tmp_path / "second.db").rename(tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match="is another ledger than a moment ago"):
        running.step()
    with pytest.raises(PermanentError, match="another ledger was shipped until now"):
        running.step()


def test_an_older_copy_that_was_put_back(shared: Shared, shipper: Ship, url: str, tmp_path: Path) -> None:
    """It ends before what was shipped; and when it has gone on, it has another history."""
    shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
    append(url, 10)
    level(shipper(url))
    shutil.copy(tmp_path / "backup.db", tmp_path / "ledger.db")
    with pytest.raises(PermanentError, match="the ledger ends at entry 25, and 35 were shipped"):
        level(shipper(url))
    append(url, 12)
    with pytest.raises(PermanentError, match="its entry 35 has another hash than its copy"):
        level(shipper(url))
    assert shared.rows("SELECT count(*) FROM edge101.facts") == [(35,)]


def test_one_at_a_time(shipper: Ship, url: str) -> None:
    """A second process for the same ledger waits for the first to end."""
    first, second = shipper(url), shipper(url)
    assert first.step()
    with pytest.raises(LedgerError, match="another `edge ship` is shipping this ledger"):
        second.step()
    first.close()
    assert second.step()


def test_ten_minutes_without_the_database(shared: Shared, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again ever more slowly, cries out after a minute and after each ten more, holds nothing in memory, and goes on."""
    now, waits = 0.0, list[float]()
    monkeypatch.setattr(
        shipping, "log", structlog.get_logger()
    )  # whoever configured logging before has kept the other

    def opened() -> Target:
        return Target(shared.url if now > 1300 else "postgresql+psycopg://edge101@/x?host=/nonexistent")

    def wait(seconds: float) -> bool:
        nonlocal now
        now += seconds
        waits.append(seconds)
        return seconds == 0.25

    with capture_logs() as said:
        running = Shipper(Source(url, "Appliance A"), opened, wait, now_seconds=lambda: now)
        running.run()
        running.close()
    assert waits[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS]
    alarms = [line for line in said if line["event"] == "ship.alarm"]
    assert [line["log_level"] for line in alarms] == ["error"] * 3
    assert alarms[1]["seconds"] - alarms[0]["seconds"] >= ALARM_AGAIN_SECONDS
    assert "cannot be reached" in alarms[0]["error"]
    assert [line["event"] for line in said if line["event"] != "ship.alarm"] == [
        "ship.interrupted",
        "ship.connected",
        "ship.resumed",
    ]
    assert shared.verified(url).count == 25


def test_the_shared_database_is_no_ledger(shared: Shared, shipper: Ship, url: str) -> None:
    """Whoever forgets to say whose ledger is told, and nothing is migrated."""
    level(shipper(url))
    for use in (open_reader, open_sql_ledger):
        with pytest.raises(LedgerError, match=r"database that appliances share: add \?ledger=ID"):
            use(shared.url)
    with pytest.raises(LedgerError, match="is no id of a ledger"):
        open_reader(f"{shared.url}&ledger=x'")
    with pytest.raises(LedgerError, match="still empty"):
        open_reader(f"{shared.url}&ledger={'0' * 32}")


def test_a_made_up_ledger(shared: Shared, shipper: Ship, tmp_path: Path) -> None:
    """Facts of every kind that a shift makes; its id says of what kind it is, in the shared database too."""
    file = tmp_path / "made-up.db"
    facts = synthesise(file, 40, 1, datetime(2026, 10, 1, tzinfo=UTC), 1)
    running = shipper(f"sqlite:///{file}", "Made up")
    while running.step():
        pass
    running.close()
    assert shared.verified(f"sqlite:///{file}").count == facts
    assert shared.rows("SELECT ledger_id LIKE 'synthetic%' FROM edge101.ledgers") == [(True,)]


def test_a_newer_schema_is_left_alone(shared: Shared, shipper: Ship, url: str) -> None:
    """An older program does not write into a newer one's tables."""
    level(shipper(url))
    with shared.server.connect(shared.name) as connection:
        connection.execute("UPDATE edge101.alembic_version SET version_num = '9999'")
    with pytest.raises(PermanentError, match="its schema 9999 is newer than this program's"):
        shipper(url).step()


@pytest.mark.parametrize("url", ["sqlite:///x.db", "ledger", "postgresql://u:hunter2hunter2@h/x?ledger=1"])
def test_places_that_nothing_can_be_shipped_to(url: str) -> None:
    """A clear refusal, which shows no password."""
    with pytest.raises(LedgerError, match="is no place to ship to: write postgresql") as refused:
        Target(url)
    assert "hunter2" not in str(refused.value)


def personal(shared: Shared) -> set[int]:
    """Sequences whose personal data is in the shared database."""
    return {row[0] for row in shared.rows("SELECT sequence FROM edge101.personal")}
