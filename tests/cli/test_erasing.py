"""`edge ledger erase`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cli.conftest import Run, Site

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
