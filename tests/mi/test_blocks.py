"""Blocks of columns against the rows that they were made of: the same figures, and never a figure of yesterday."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.core.model import Instant
from edge.ledger.memory import MemoryLedger
from edge.mi import blocks
from edge.mi.columns import CALL_FIELDS, OPEN_US, WORK_FIELDS, Fields, Rows
from edge.mi.projection import Projection, ProjectionError
from tests.mi.record import entries, utc_of
from tests.mi.test_projection import ledger_of, traced
from tests.simulation.test_room import live

FILE = "projection.db"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four calls, made as soon as those are there."""
    monkeypatch.setattr(blocks, "CALLS", 4)
    monkeypatch.setattr(blocks, "SETTLED_US", 0)


def blocks_in(file: Path) -> list[int]:
    """Those that are there."""
    with closing(sqlite3.connect(file)) as connection:
        return sorted(block for (block,) in connection.execute("SELECT block FROM blocks"))


def told(rows: Rows, fields: Fields, words: Sequence[str] | None = None) -> list[list[object]]:
    """Every column of them; with `words`, texts for the numbers of words, which hang on how it was folded."""
    return [
        [words[number] for number in rows[name].tolist()] if words and code == "i" else rows[name].tolist()
        for name, code in fields
    ]


def same(one: Projection, other: Projection, since_us: int = 0, until_us: int = OPEN_US) -> None:
    """Both have the same calls and the same work, to the last column."""
    for attribution in ("arrival", "completion"):
        found, expected = (each.figures(since_us, until_us, attribution) for each in (one, other))
        for fields, ours, theirs in (
            (CALL_FIELDS, found.calls, expected.calls),
            (WORK_FIELDS, found.work, expected.work),
        ):
            assert told(ours, fields, found.words) == told(theirs, fields, expected.words)


@pytest.mark.parametrize("seed", range(3))
def test_they_are_what_the_rows_are(seed: int, tmp_path: Path) -> None:
    """Whatever changes after a block was made, and whatever time is asked for."""
    happened, dice, file = live(seed, instants=400).entries, random.Random(seed), tmp_path / FILE
    ledger = ledger_of(happened)
    gathered, plain = Projection(ledger, file), Projection(ledger, None)
    while gathered.advance(dice.randrange(1, 60)):
        while dice.random() < 0.7 and gathered.gather():
            pass
    gathered.catch_up()
    plain.catch_up()
    assert len(blocks_in(file)) >= 2
    same(gathered, plain)
    times = [entry.at.utc_us for entry in happened]
    for _ in range(20):
        since_us, until_us = sorted((dice.choice(times), dice.choice(times) + dice.choice([0, 1])))
        same(gathered, plain, since_us, until_us)
    gathered.close()
    plain.close()


def folded(ledger: MemoryLedger, file: Path) -> Projection:
    """Nine calls, one after the other, folded and gathered: those of two blocks, and two more."""
    ledger.append(list(entries(1, 9)))
    projection = Projection(ledger, file)
    projection.catch_up()
    assert blocks_in(file) == [0, 1]
    return projection


def correct(ledger: MemoryLedger, call: int) -> int:
    """The switch's own record tells that this call arrived a second earlier; when that was."""
    (*_, last) = ledger.read(ledger.last_sequence() - 1)
    earlier_us = utc_of(call) - 1_000_000
    said = traced(f"call-{call:09d}", Instant(earlier_us * 1000, earlier_us))
    ledger.append([replace(last, sequence=last.sequence + 1, at=last.at.plus(60), fact=said)])
    return earlier_us


def test_a_late_correction_is_seen_at_once(tmp_path: Path) -> None:
    """The block of its call goes with the fact, and no other; it is made again later."""
    ledger, file = MemoryLedger(), tmp_path / FILE
    projection = folded(ledger, file)
    earlier_us = correct(ledger, 6)
    assert projection.advance() == 1
    assert blocks_in(file) == [0]
    assert earlier_us in projection.figures(0, OPEN_US).calls["arrived_us"].tolist()
    projection.catch_up()
    assert blocks_in(file) == [0, 1]
    with closing(Projection(ledger, None)) as afresh:
        afresh.catch_up()
        same(projection, afresh)
    projection.close()


def test_figures_are_of_one_moment(tmp_path: Path) -> None:
    """What another process folds and gathers meanwhile is in none of them, or in all."""
    ledger, file = MemoryLedger(), tmp_path / FILE
    projection = folded(ledger, file)
    with closing(Projection(ledger, file)) as other, projection._reading() as connection:
        connection.execute("BEGIN")
        before, _ = blocks.read(connection, 0, OPEN_US)
        earlier_us = correct(ledger, 6)
        other.catch_up()
        after, _ = blocks.read(connection, 0, OPEN_US)
        connection.execute("ROLLBACK")
        assert told(after, CALL_FIELDS) == told(before, CALL_FIELDS)
        assert earlier_us in projection.figures(0, OPEN_US).calls["arrived_us"].tolist()
    projection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO columns SELECT number, 1, over_us, flat, work FROM columns WHERE number = 5",
        "UPDATE columns SET arrived_us = 1 WHERE number = 5",
        "DELETE FROM columns WHERE number = 5",
    ],
)
def test_a_program_that_knows_no_blocks_leaves_none_behind(statement: str, tmp_path: Path) -> None:
    """The file itself sees to it, whoever writes a row."""
    file = tmp_path / FILE
    folded(MemoryLedger(), file).close()
    with closing(sqlite3.connect(file)) as older:
        older.execute(statement)
        older.commit()
    assert blocks_in(file) == [0]


def test_a_file_of_before_gets_blocks_and_is_not_folded_again(tmp_path: Path) -> None:
    """It costs the time to make them, and nothing else."""
    ledger, file = MemoryLedger(), tmp_path / FILE
    folded(ledger, file).close()
    with closing(sqlite3.connect(file)) as connection:
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("DROP TABLE blocks")
    with closing(Projection(ledger, file)) as projection, closing(Projection(ledger, None)) as afresh:
        assert projection.through == ledger.last_sequence()
        afresh.catch_up()
        same(projection, afresh)
        assert blocks_in(file) == []
        projection.catch_up()
        assert blocks_in(file) == [0, 1]
        same(projection, afresh)
        correct(ledger, 6)
        projection.advance()
        assert blocks_in(file) == [0]


def test_what_is_not_settled_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of calls of today would be made again with everything that is said of them."""
    ledger, file = MemoryLedger(), tmp_path / FILE
    monkeypatch.setattr(blocks, "SETTLED_US", utc_of(9) - utc_of(5))
    ledger.append(list(entries(1, 9)))
    with closing(Projection(ledger, file)) as projection:
        projection.catch_up()
        assert blocks_in(file) == [0]


def test_a_full_disk_takes_no_figures_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read call by call then."""
    ledger, file = MemoryLedger(), tmp_path / FILE
    monkeypatch.setattr(blocks, "CALLS", 32)  # more than goes into a page of the file
    ledger.append(list(entries(1, 70)))
    with closing(Projection(ledger, file)) as projection, closing(Projection(ledger, None)) as afresh:
        while projection.advance():
            pass
        projection._writer.execute("VACUUM")
        projection._writer.execute("PRAGMA max_page_count = 1")  # as many as there are
        projection.catch_up()
        assert blocks_in(file) == []
        afresh.catch_up()
        same(projection, afresh)
        with pytest.raises(ProjectionError, match="full"):
            projection.gather()
