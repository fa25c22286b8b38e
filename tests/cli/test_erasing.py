"""`edge ledger erase`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.core.model import Instant
from edge.ledger.mending import open_mended
from edge.ports import read_all
from tests.cli.conftest import Run, Site
from tests.cli.test_protection import acknowledge, last

WHY = ("--why", "request 12/2026")


def test_erases_calls_that_have_ended(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """The caller's number is gone from the call and the chain still holds; the facts stay."""
    call_id = site.ids["answered"]
    before = edge_json("ledger", "verify")["facts"]
    done = edge_json("ledger", "erase", call_id, "--yes", *WHY)
    assert (done["calls"], done["facts"] >= 1, done["checkpoints"], done["purged"]) == (
        [call_id],
        True,
        1,
        True,
    )
    assert (done["verification"]["sound"], done["verification"]["facts"]) == (True, before)
    assert edge_json("call", call_id, "--numbers")["call"]["caller_number"] is None


def test_says_what_it_did(edge: Run, site: Site) -> None:
    """In words: facts, checkpoints, whether the data is gone from the files, and that the chain holds."""
    lines = edge("ledger", "erase", site.ids["rejected"], "--yes", *WHY).stdout.splitlines()
    assert "facts erased, 1 checkpoints deleted" in lines[0]
    assert (lines[1], lines[2].startswith("the chain holds")) == ("gone from every file", True)


def test_refuses_open_calls(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """With an open call among them it names that one and erases nothing."""
    result = edge("ledger", "erase", site.ids["answered"], site.ids["talking"], "--yes", *WHY)
    assert (result.exit_code, site.ids["talking"] in result.stderr) == (1, True)
    assert edge_json("ledger", "verify")["erased"] == 0


def test_asks_first(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """Without --yes and without an answer nothing is erased."""
    assert edge("ledger", "erase", site.ids["answered"], *WHY).exit_code == 1
    assert edge_json("ledger", "verify")["erased"] == 0


@pytest.fixture
def kept(site: Site) -> Path:
    """A damaged file that was set aside, and something beside it that belongs to it; the ledger lost a fact."""
    path = site.directory / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        (newest,) = connection.execute(
            "SELECT max(sequence) FROM facts WHERE kind = 'PhoneChanged'"
        ).fetchone()
        connection.execute(
            "UPDATE facts SET body = replace(body, 'phone', 'ohone') WHERE sequence = ?", (newest,)
        )
        connection.execute("DELETE FROM checkpoints")  # so that it is read
    ledger, _, done = open_mended(site.ledger_url, lambda ledger: list(read_all(ledger)), Instant(1, 2))
    ledger.close()
    assert done is not None
    assert done.lost
    found = site.directory / done.kept_as
    found.with_name(found.name + "-wal").write_bytes(b"+447700900123")
    return found


def test_names_what_it_does_not_reach(
    edge: Run, edge_json: Callable[..., Any], site: Site, kept: Path
) -> None:
    """A damaged file that was set aside has the same data: which, why it is there, and how it is destroyed."""
    for said in (
        edge("ledger", "erase", site.ids["answered"], "--yes", *WHY).stdout,
        edge("ledger", "retain").stdout,
        edge("ledger", "retain", "--apply").stdout,
    ):
        (line,) = [line for line in said.splitlines() if line.startswith("NOT ERASED in")]
        assert f"edge ledger erase --set-aside {kept.name} --why" in line
        assert "it was damaged (" in line
    (named,) = edge_json("ledger", "retain")["set_aside"]
    assert (named["file"], named["size_bytes"], len(named["lost"]) > 0) == (
        kept.name,
        kept.stat().st_size,
        True,
    )


def test_destroys_a_file_that_was_set_aside_once_every_reader_knows(
    edge: Run, edge_json: Callable[..., Any], site: Site, kept: Path
) -> None:
    """Not before, not under a legal hold, and nothing else in that folder; on the record."""
    command = ("ledger", "erase", "--set-aside", kept.name, "--yes", *WHY)
    assert "not every reader has acknowledged" in edge(*command).stderr
    acknowledge(site, last(site))
    held = edge_json("hold", "add", "--from", "2020-01-01", "--until", "2020-01-02", *WHY)["hold"]
    assert "a legal hold" in edge(*command).stderr
    edge_json("hold", "release", str(held), *WHY)
    for other in ("ledger.sqlite", "../ledger.sqlite", str(kept), "edge101.toml"):
        assert "no damaged file of this ledger" in edge(*command[:3], other, *command[4:]).stderr
    assert edge(*command[:4], *WHY).exit_code == 1  # nobody said yes
    assert kept.exists()
    assert edge(*command).stdout == f"{kept.name} destroyed\n"
    assert list(site.directory.glob("*.damaged-*")) == []
    assert edge_json("ledger", "verify")["sound"]
    audit = edge_json("ledger", "audit")
    (entry,) = [each for each in audit["entries"] if each["what"] == "destroy set aside"]
    assert (audit["sound"], entry["detail"]["file"], entry["why"]) == (True, kept.name, WHY[1])


def test_says_whose_data(edge: Run, site: Site) -> None:
    """One of the three."""
    for given in ((), (site.ids["answered"], "--set-aside", "x"), ("--number", "-", "--set-aside", "x")):
        assert edge("ledger", "erase", *given, *WHY).exit_code == 2
