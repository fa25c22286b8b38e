"""`edge report` on a ledger on disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from edge.ledger.store import open_sql_ledger
from tests.cli.conftest import Run, Site


def test_a_report_is_written(site: Site, edge: Run, tmp_path: Path) -> None:
    """The page and the table, and the headlines said; the period before is empty and says so."""
    page, table = tmp_path / "week.html", tmp_path / "week.csv"
    done = edge(
        "report", "week", "2026-W47", "--out", str(page), "--csv", str(table), "--go-live", "2026-11-20"
    )
    assert done.exit_code == 0, done.output
    assert "Test room, week 2026-W47" in done.output
    assert "3 calls have not ended" in done.output
    assert "<svg" in page.read_text(encoding="utf-8")
    assert table.read_text(encoding="utf-8").startswith("part,definition,digest")
    assert "+4416" not in page.read_text(encoding="utf-8") + table.read_text(encoding="utf-8")


def test_the_last_week_that_is_over(site: Site, edge: Run, tmp_path: Path, monkeypatch: Any) -> None:
    """Where no period is named; the file is called by it."""
    monkeypatch.chdir(tmp_path)
    done = edge("report", "week")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "edge101-2026-W46.html").exists()


def test_what_cannot_be_done_is_said(site: Site, edge: Run, tmp_path: Path) -> None:
    """What is wrong, and how to mend it."""
    wrong = edge("report", "month", "2026-13")
    assert wrong.exit_code == 2
    assert "is no period" in wrong.output
    nowhere = edge("report", "month", "2026-11", "--out", str(tmp_path / "no/where.html"))
    assert nowhere.exit_code == 1
    assert "cannot be written" in nowhere.output


def test_a_copy_leaves_what_mi_has_of_the_own_ledger_alone(site: Site, edge: Run, tmp_path: Path) -> None:
    """A ledger named by hand, wherever it stands: the projection of `edge mi` is not folded anew from it."""
    (site.directory / "mi").mkdir()
    assert edge("report", "week", "2026-W47", "--out", str(tmp_path / "a.html")).exit_code == 0
    file = site.directory / "mi" / "projection.db"
    own = file.stat().st_ino
    copy = site.directory / "copy.sqlite"
    ledger = open_sql_ledger(f"sqlite:///{copy}")
    ledger.append(site.room.entries[:5])
    ledger.close()
    for command in (
        ("report", "week", "2026-W47", "--out", str(tmp_path / "b.html")),
        ("metrics", "compute", "offered"),
    ):
        done = edge("--ledger", f"sqlite:///{copy}", *command)
        assert done.exit_code == 0, done.output
    assert file.stat().st_ino == own
    with closing(sqlite3.connect(file)) as opened:
        assert opened.execute("SELECT through FROM state").fetchone() == (len(site.room.entries),)
