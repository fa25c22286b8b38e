"""`edge numbers`: the list of known numbers, never shown whole unless asked for and audited."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.directory import NumberList
from tests.cli.conftest import Run

NUMBER, SAME = "01632 960123", "+441632960123"
ADD = ("numbers", "add", NUMBER, "--kind", "vulnerable", "--until", "90d")


@pytest.fixture
def numbers(directory: Path) -> Path:
    """The list of the configuration, not there yet."""
    file = directory / "edge101.toml"
    more = '[number_list]\nfile = "numbers.toml"\n[class.vulnerable]\nhead_start_seconds = 60\n'
    file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
    return directory / "numbers.toml"


def audit(numbers: Path) -> list[dict[str, Any]]:
    """What the audit says."""
    lines = numbers.with_suffix(".audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_an_entry_is_added_listed_checked_and_removed(
    edge: Run, edge_json: Callable[..., Any], numbers: Path
) -> None:
    """Masked everywhere; in the file for its owner alone; each change in the audit."""
    result = edge(*ADD, "--class", "vulnerable", "--language", "en", "--assisted", "--note", "likes tea")
    until = date.today() + timedelta(days=90)  # noqa: DTZ011 - the machine's own day is what is meant
    assert (result.exit_code, result.stdout) == (
        0,
        f"added: …123, vulnerable, class vulnerable, language en, assisted, until {until}\n",
    )
    assert stat.S_IMODE(numbers.stat().st_mode) == 0o600
    listing = NumberList.load(numbers).lookup(SAME, until)
    assert listing is not None
    assert (listing.kind, listing.priority_class, listing.note) == ("vulnerable", "vulnerable", "likes tea")
    table = edge("numbers", "list").stdout
    assert "…123" in table
    assert "tea" not in table
    (entry,) = edge_json("numbers", "list")["numbers"]
    assert (entry["number_mask"], entry["holds"], "number" in entry) == ("…123", True, False)
    assert edge("numbers", "check", SAME).stdout.startswith("…123, vulnerable, class vulnerable")
    assert edge_json("numbers", "check", SAME)["listed"] is True
    assert edge("numbers", "check").stdout == f"{numbers}: well, 1 numbers, 0 of them expired\n"
    assert edge_json("numbers", "remove", SAME)["done"] == "removed"
    assert edge("numbers", "check", SAME).exit_code == 1
    assert [line["what"] for line in audit(numbers)] == ["added", "removed"]
    assert "960123" not in numbers.with_suffix(".audit.jsonl").read_text(encoding="utf-8")


def test_whole_numbers_are_shown_only_when_asked_for_and_audited(
    edge: Run, edge_json: Callable[..., Any], numbers: Path
) -> None:
    """Showing is a disclosure: without an audit that can be written nothing is shown."""
    edge(*ADD, "--note", "likes tea")
    assert "+441632960123" in edge("numbers", "list", "--show-numbers").stdout
    (entry,) = edge_json("numbers", "list", "--show-numbers")["numbers"]
    assert (entry["number"], entry["note"]) == (SAME, "likes tea")
    assert SAME in edge("numbers", "check", NUMBER, "--show-numbers").stdout
    assert [(line["what"], line.get("numbers")) for line in audit(numbers)[1:]] == [("shown", 1)] * 3
    trail = numbers.with_suffix(".audit.jsonl")
    trail.unlink()
    trail.symlink_to("/dev/full")
    result = edge("numbers", "list", "--show-numbers")
    assert (result.exit_code, "960123" in result.output) == (1, False)
    assert "whole numbers are not shown" in result.stderr


def test_a_number_can_come_from_the_standard_input(directory: Path, numbers: Path) -> None:
    """So that it stands in no shell history."""
    arguments = ["--config", str(directory / "edge101.toml"), *ADD[:2], "-", *ADD[3:]]
    assert CliRunner().invoke(main, arguments, input=f"{NUMBER}\n").exit_code == 0
    assert NumberList.load(numbers).lookup(NUMBER, date.today()) is not None  # noqa: DTZ011


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "not a number", *ADD[3:]), "whole telephone number"),
        (("add", "\x1b[2J", *ADD[3:]), "whole telephone number"),
        (("remove", "12"), "whole telephone number"),
        (ADD[1:5], "--until"),
        ((*ADD[1:5], "--until", "2020-01-01"), "is over"),
        ((*ADD[1:5], "--until", "soon"), "2027-11-30"),
        ((*ADD[1:], "--class", "nonsense"), "known: standard, vulnerable"),
        ((*ADD[1:], "--language", "xx"), "not written in it"),
    ],
)
def test_what_cannot_be_is_wrong_usage(
    edge: Run, numbers: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Exit code 2 with what would be right, and nothing is written."""
    result = edge("numbers", *arguments)
    assert (result.exit_code, told in result.stderr, numbers.exists()) == (2, True, False)
    assert not [mark for mark in result.output if not mark.isprintable() and mark != "\n"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (ADD[1:], "stands in the list already"),
        (("remove", "01632 960999"), "does not stand in the list"),
        (("add", "01632 960999", "--kind", "No Good", "--until", "90d"), "kind"),
        (("add", "01632 960999", *ADD[3:], "--note", "two\nlines"), "note"),
    ],
)
def test_a_refusal_is_told_and_changes_nothing(
    edge: Run, numbers: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Exit code 1, no number in the message."""
    edge(*ADD)
    before = numbers.read_bytes()
    result = edge("numbers", *arguments)
    assert (result.exit_code, told in result.stderr, numbers.read_bytes()) == (1, True, before)
    assert "960" not in result.output


def test_a_broken_list_is_told_with_its_places(
    edge: Run, edge_json: Callable[..., Any], numbers: Path
) -> None:
    """`check` has every mistake; the others name them too, and no number."""
    numbers.write_text('[[number]]\nnumber = "01632 960123"\nkind = 7\n', encoding="utf-8")
    result = edge("numbers", "check")
    assert (result.exit_code, f"error: {numbers}:3: number.0.kind" in result.stdout) == (1, True)
    assert len(edge_json("numbers", "check")["findings"]) > 1
    for arguments in (["list"], ["check", NUMBER], ["remove", NUMBER]):
        told = edge("numbers", *arguments)
        assert (told.exit_code, f"{numbers}:3" in told.stderr, "960123" in told.output) == (1, True, False)


def test_a_class_that_the_configuration_dropped_is_found(edge: Run, numbers: Path) -> None:
    """The daemon would not take the list over."""
    edge(*ADD, "--class", "vulnerable")
    numbers.write_text(numbers.read_text("utf-8").replace('class = "vulnerable"', 'class = "gone"'), "utf-8")
    result = edge("numbers", "check")
    assert (result.exit_code, 'there is no class "gone"' in result.stdout) == (1, True)


def test_expired_entries_are_found(edge: Run, edge_json: Callable[..., Any], numbers: Path) -> None:
    """They hold no longer and are still there to be looked through."""
    edge(*ADD)
    text = numbers.read_text(encoding="utf-8").splitlines()
    dated = [line for line in text if not line.startswith(("added =", "until ="))]
    numbers.write_text("\n".join([*dated, "added = 2020-01-01", "until = 2020-02-01", ""]), encoding="utf-8")
    (entry,) = edge_json("numbers", "list", "--expired")["numbers"]
    assert (entry["until"], entry["holds"]) == ("2020-02-01", False)
    assert edge("numbers", "check", NUMBER).stdout == "not listed\n"
    assert "(expired)" in edge("numbers", "list").stdout
    assert edge_json("numbers", "list", "--kind", "repeat")["numbers"] == []


def test_without_a_list_in_the_configuration_the_line_that_is_missing_is_told(
    edge: Run, directory: Path
) -> None:
    """Exit code 78."""
    result = edge("numbers", "list")
    assert (result.exit_code, 'file = "numbers.toml"' in result.stderr) == (78, True)
