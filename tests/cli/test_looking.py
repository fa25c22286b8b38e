"""Commands that look, as tables and as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.cli import COMMANDS, main, output
from edge.cli.places import DEFAULT_LEDGER_URL
from edge.core import inputs
from edge.ledger.store import open_sql_ledger
from edge.views import shapes
from tests.cli.conftest import Run, Site
from tests.views.room import Room

LOOKING = (
    ["status"],
    ["top", "--for", "0"],
    ["calls"],
    ["calls", "--open"],
    ["calls", "--since", "1h"],
    ["agents"],
    ["ledger", "verify"],
    ["ledger", "head"],
    ["ledger", "statistics"],
    ["ledger", "checkpoints"],
    ["ledger", "export"],
    ["replay"],
)


def test_status_in_a_table(edge: Run, site: Site) -> None:
    """Without a daemon it says so, counts what is open, and exits with 1."""
    result = edge("status")
    assert result.exit_code == 1
    assert "NOT RUNNING" in result.stdout
    assert re.search(r"^emergency +999 +0 ", result.stdout, re.MULTILINE)
    assert re.search(r"^general +101 +1 +12 ", result.stdout, re.MULTILINE)
    assert "1 signed out, 1 talking" in result.stdout
    assert "1 waiting, 1 talking, 1 fallback" in result.stdout


def test_status_in_json(edge_json: Callable[..., Any], site: Site) -> None:
    """The same, for programs."""
    status = edge_json("status")
    assert (status["well"], status["daemon"]["running"], status["switch"]["seen"]) == (False, False, False)
    assert status["calls"] == {
        "open": 3, "waiting": 1, "offered": 0, "connecting": 0, "talking": 1, "fallback": 1, "leaving": 0,
        "promised": 0, "callback": 0, "reserving": 0, "dialling": 0, "checking": 0, "test": 0,
    }  # fmt: skip
    assert [queue["tier"] for queue in status["queues"]] == ["999", "101"]
    today = status["queues"][1]["today"]
    assert (today["offered"], today["answered"], today["abandoned"], today["service_level"]) == (4, 1, 1, 0.5)
    assert status["at"] == {"utc": "2026-11-22T12:00:59.200000Z", "monotonic_ns": site.room.now.monotonic_ns}


def test_status_while_the_daemon_lives(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """Whoever holds the ledger's lock is the daemon; looking does not disturb it."""
    daemon = open_sql_ledger(site.ledger_url)
    try:
        status = edge_json("status")
        assert (status["well"], status["daemon"]["running"], status["switch"]["seen"]) == (True, True, True)
        result = edge("status")
        assert (result.exit_code, "none in reserve" in result.stdout) == (0, True)
        site.room.arrive()
        daemon.append(site.room.entries[daemon.last_sequence() :])
        assert edge_json("status")["calls"]["open"] == 4
    finally:
        daemon.close()


WAITS = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX)"


def test_status_tells_who_is_in_reserve(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """A process that waits for the ledger's lock serves when the daemon ends."""
    daemon = open_sql_ledger(site.ledger_url)
    lock = site.ledger_url.removeprefix("sqlite:///") + ".lock"
    with subprocess.Popen([sys.executable, "-c", WAITS, lock]) as waiting:
        try:
            deadline = time.monotonic() + 20
            while edge_json("status")["daemon"]["reserve_pids"] != [waiting.pid]:
                assert time.monotonic() < deadline
            assert f"in reserve: pid {waiting.pid}" in edge("status").stdout
        finally:
            daemon.close()


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_an_empty_ledger_can_be_looked_at(directory: Path, edge: Run, arguments: list[str]) -> None:
    """No command minds that nothing has happened yet."""
    open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite").close()
    for more in ([], ["--json"]):
        result = edge(*arguments, *more)
        assert result.exit_code == (1 if arguments == ["status"] else 0), result.output
        assert result.stderr == ""


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_a_missing_ledger_is_one_message(directory: Path, edge: Run, arguments: list[str]) -> None:
    """What, where and how to mend it, exit code 1, no traceback."""
    result = edge(*arguments)
    assert result.exit_code == 1
    assert result.stderr == (
        f"edge: ledger {directory}/ledger.sqlite: there is no such file; `edge run` makes it when it starts\n"
    )


@pytest.mark.parametrize(
    "arguments", [*LOOKING, ["check"], ["dialplan"], ["agent", "ready", "4001"]], ids=" ".join
)
def test_a_missing_configuration_is_one_message(tmp_path: Path, arguments: list[str]) -> None:
    """Exit code 78, the file named (`edge check` reports it as a finding: 1)."""
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "none.toml"), *arguments])
    assert result.exit_code == (1 if arguments == ["check"] else 78)
    assert f"{tmp_path}/none.toml" in result.output
    assert "Traceback" not in result.output


def test_a_ledger_can_be_looked_at_without_a_configuration(site: Site, tmp_path: Path) -> None:
    """An investigator has the ledger and nothing else."""
    arguments = ["--config", str(tmp_path / "none.toml"), "--ledger", site.ledger_url, "calls", "--json"]
    assert len(json.loads(CliRunner().invoke(main, arguments).stdout)["calls"]) == 5


def test_a_broken_configuration_does_not_prevent_looking(edge: Run, site: Site) -> None:
    """While somebody mends a value the calls can still be seen; broken syntax is told with its place."""
    text = site.configuration.read_text(encoding="utf-8")
    site.configuration.write_text(text.replace('tier = "999"', 'tier = "998"'), encoding="utf-8")
    assert edge("calls").exit_code == 0
    site.configuration.write_text("[ledger", encoding="utf-8")
    assert (edge("calls").exit_code, "is not TOML" in edge("calls").stderr) == (78, True)


def test_the_ledger_of_no_configuration_is_that_of_the_full_one() -> None:
    """The default is written twice for speed, and must not drift."""
    from edge.config.model import LedgerSection

    assert LedgerSection().url == DEFAULT_LEDGER_URL


def test_gaps(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """The gap that lasts because no daemon runs is the last one; the figures are in one sentence below the table."""
    shown = edge_json("gaps", "--since", "2026-01-01")
    assert shown["gaps"][-1]["until"] is None
    assert shown["completeness"]["gaps"] == len(shown["gaps"])
    assert shown["completeness"]["seen_seconds"] <= shown["completeness"]["seconds"]
    told = edge("gaps", "--since", "2026-01-01")
    assert "the switch was seen" in told.output
    assert edge_json("status")["completeness"].keys() == shown["completeness"].keys()


def test_trouble_with_the_ledger_stands_in_the_record(
    edge: Run, edge_json: Callable[..., Any], site: Site
) -> None:
    """Once facts can be written again: from, until and why in `edge gaps`, an alarm in `edge status`."""
    assert edge_json("gaps", "--since", "2026-01-01")["ledger_troubles"] == []
    room, written = site.room, len(site.room.entries)
    room.give(inputs.LedgerTrouble(ok=False, detail="the disk is full"))
    began = room.now
    room.wait(65)
    room.give(inputs.LedgerTrouble(ok=True, detail="all facts made meanwhile were kept: the disk is full"))
    with closing(open_sql_ledger(site.ledger_url)) as ledger:
        ledger.append(room.entries[written:])
    (trouble,) = edge_json("gaps", "--since", "2026-01-01")["ledger_troubles"]
    assert (trouble["from"], trouble["until"]) == (shapes.instant(began), shapes.instant(room.now))
    assert (trouble["seconds"], "the disk is full" in trouble["detail"]) == (65.0, True)
    assert "the ledger was in trouble from 2026-" in edge("gaps", "--since", "2026-01-01").stdout
    alarm = edge_json("status")["alarms"][0]
    assert (alarm["kind"], alarm["detail"].startswith("for 65.0 s until now: the disk is full")) == (
        "ledger",
        True,
    )


def test_calls_in_a_table(edge: Run, site: Site) -> None:
    """Every call a line, numbers masked."""
    result = edge("calls")
    assert result.exit_code == 0
    for call_id in site.ids.values():
        assert len(re.findall(rf"^{call_id} ", result.stdout, re.MULTILINE)) == 1
    assert "…123" in result.stdout
    assert "withheld" in result.stdout
    assert "1632960" not in result.stdout
    assert "Alex" not in result.stdout


def test_calls_in_json(edge_json: Callable[..., Any], site: Site) -> None:
    """Times are RFC 3339 with microseconds and monotonic nanoseconds; the caller is a keyed hash."""
    call = edge_json("calls")["calls"][0]
    assert call["call_id"] == site.ids["answered"]
    assert call["arrived"] == {"utc": "2026-11-22T12:00:00.000000Z", "monotonic_ns": 1_000_000_000_000}
    assert (call["waited_seconds"], call["talked_seconds"], call["held_seconds"]) == (2.1, 13.1, 4.0)
    assert (call["outcome"], call["side"], call["caller_mask"]) == ("answered", "caller", "…123")
    assert re.fullmatch("[0-9a-f]{16}", call["caller"])
    assert "caller_number" not in call


def test_numbers_are_shown_only_when_asked_for(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """--numbers is a disclosure, and says so in its help."""
    assert "+441632960456 Alex Example" in edge("calls", "--numbers").stdout
    assert edge_json("calls", "--numbers")["calls"][1]["caller_name"] == "Alex Example"
    assert "disclosure" in edge("calls", "--help").stdout


def test_without_the_key_only_the_mask_is_shown(edge_json: Callable[..., Any], site: Site) -> None:
    """A copy of the ledger without its key gives no ids."""
    (site.directory / "ledger.sqlite.key").unlink()
    assert {call["caller"] for call in edge_json("calls")["calls"]} == {None}


@pytest.mark.parametrize(
    ("arguments", "fates"),
    [
        (["--open"], ["talking", "fallback", "waiting"]),
        (["--open", "--last", "1"], ["waiting"]),
        (["--last", "2"], ["fallback", "waiting"]),
        (["--line", "emergency"], ["talking"]),
        (["--outcome", "abandoned"], ["rejected"]),
        (["--outcome", "answered", "--last", "1"], ["answered"]),
        (["--since", "13s"], ["talking", "fallback", "waiting"]),
        (["--since", "2026-11-22T12:00:40Z"], ["talking", "fallback", "waiting"]),
        (["--since", "2026-11-22T12:00:05", "--line", "main"], ["rejected", "fallback", "waiting"]),
        (["--since", "2027-01-01"], []),
    ],
)
def test_calls_can_be_chosen(
    edge_json: Callable[..., Any], site: Site, arguments: list[str], fates: list[str]
) -> None:
    """By openness, number, time, line and outcome."""
    found = [call["call_id"] for call in edge_json("calls", *arguments)["calls"]]
    assert found == [site.ids[fate] for fate in fates]


@pytest.mark.parametrize("written", ["", "yesterday", "12", "m"])
def test_a_time_that_is_none_is_wrong_usage(edge: Run, site: Site, written: str) -> None:
    """Exit code 2, with an example."""
    result = edge("calls", "--since", written)
    assert (result.exit_code, "2026-11-22T14:00" in result.stderr) == (2, True)


def test_the_story_of_a_call(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """By the end of its id: the outcome, the times, what happened and why."""
    result = edge("call", "-1")
    assert result.exit_code == 0
    assert "The call was answered by agent" in result.stdout
    assert re.search(r"^12:00:00\.000 +\+0\.000 +arrived on line main ", result.stdout, re.MULTILINE)
    assert re.search(r"\+9\.\d+ +", result.stdout) or "put on hold" in result.stdout
    story = edge_json("call", site.ids["answered"])
    assert story["call"]["call_id"] == site.ids["answered"]
    assert [line["sequence"] for line in story["story"]] == sorted(
        line["sequence"] for line in story["story"]
    )
    assert story["story"][-1]["what"].startswith("wrap-up of agent")


def test_why_answers_in_its_first_line(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """One sentence, then one line per decision."""
    lines = edge("why", site.ids["rejected"]).stdout.splitlines()
    assert re.match(
        r"The call was not answered: it ended .* \(offered in vain to 400\d \(rejected\)", lines[0]
    )
    why = edge_json("why", site.ids["rejected"])
    assert why["outcome"] == lines[0]
    assert len(lines) == 1 + len(why["decisions"])
    assert all("\n" not in decision["reason"] for decision in why["decisions"])


@pytest.mark.parametrize("command", ["call", "why"])
def test_an_id_that_is_none_or_several_is_told(edge: Run, site: Site, command: str) -> None:
    """Exit code 1 and what to do."""
    assert (edge(command, "x\x1b").exit_code, edge(command, "20261122T120000Z-").exit_code) == (1, 1)
    assert "see `edge calls`" in edge(command, "x\x1b").stderr
    assert "\x1b" not in edge(command, "x\x1b").stderr
    several = edge(command, "")
    assert (several.exit_code, "5 calls have ids that end so" in several.stderr) == (1, True)


def test_agents(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """With their names, states, calls and figures of today."""
    agents = {agent["agent"]: agent for agent in edge_json("agents")["agents"]}
    assert (agents["4001"]["name"], agents["4001"]["state"]) == ("Ann", "talking")
    assert (agents["4001"]["call_id"], agents["4002"]["state"]) == (site.ids["talking"], "signed out")
    assert sum(agent["answered"] for agent in agents.values()) == 2
    assert re.search(r"^4001 +Ann +talking ", edge("agents").stdout, re.MULTILINE)


def test_top_ends_by_itself_and_shows_calls(edge: Run, site: Site) -> None:
    """For scripts: one picture and the end."""
    result = edge("top", "--for", "0")
    assert result.exit_code == 0
    assert "3 open calls" in result.stdout
    assert site.ids["talking"] in result.stdout


def test_top_shows_new_facts(edge: Run, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of JSON per change."""
    from edge.cli import top

    ledger = open_sql_ledger(site.ledger_url)
    pressed = iter(("", "", "q"))

    def wait(seconds: float) -> str:
        site.room.arrive()
        ledger.append(site.room.entries[ledger.last_sequence() :])
        return next(pressed)

    monkeypatch.setattr(top, "_no_key", wait)
    result = edge("top", "--json")
    ledger.close()
    assert [json.loads(line)["calls"]["open"] for line in result.stdout.splitlines()] == [3, 4, 5]


def test_verify_finds_a_change(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """The chain holds; after a change of one reason it does not, and the exit code is 1."""
    import sqlite3

    assert edge("ledger", "verify").stdout.startswith(f"the chain holds: {len(site.room.entries)} facts")
    head = edge("ledger", "head").stdout.strip()
    assert edge("ledger", "verify", "--head", head).exit_code == 0
    assert edge("ledger", "verify", "--head", "7").exit_code == 2
    with sqlite3.connect(site.directory / "ledger.sqlite") as connection:
        connection.execute("UPDATE facts SET reason = 'another \x1b[31m' WHERE sequence = 7")
    connection.close()
    result = edge("ledger", "verify")
    assert (result.exit_code, result.stdout.startswith("BROKEN (changed): entry 7")) == (1, True)
    assert edge_json("ledger", "verify")["broken_at"] == 7


def test_statistics_and_checkpoints(edge_json: Callable[..., Any], edge: Run, site: Site) -> None:
    """Counts of what was written."""
    statistics = edge_json("ledger", "statistics")
    assert (statistics["facts"], statistics["personal"], statistics["checkpoint_sequence"]) == (
        len(site.room.entries), 4, 20,
    )  # fmt: skip
    (checkpoint,) = edge_json("ledger", "checkpoints")["checkpoints"]
    assert (checkpoint["sequence"], checkpoint["readable"]) == (20, True)
    assert statistics["ledger_id"] in edge("ledger", "statistics").stdout


def test_export_leaves_personal_data_out_unless_asked(edge: Run, site: Site) -> None:
    """One line per fact, from where one likes."""
    lines = edge("ledger", "export", "--after", "3").stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(4, len(site.room.entries) + 1))
    assert "1632960" not in edge("ledger", "export").stdout
    assert "1632960" in edge("ledger", "export", "--numbers").stdout


def test_replay_agrees(edge: Run, edge_json: Callable[..., Any], site: Site) -> None:
    """The checkpoint and the whole ledger give the same state."""
    result = edge("replay")
    assert (result.exit_code, "both folds agree (checkpoint at 20)" in result.stdout) == (0, True)
    replay = edge_json("replay")
    assert (replay["agree"], replay["facts"], replay["kinds"]["CallArrived"]) == (
        True,
        len(site.room.entries),
        5,
    )


@pytest.mark.parametrize("command", ["status", "replay", "agents"])
def test_facts_that_cannot_be_folded_are_one_message(edge: Run, site: Site, command: str) -> None:
    """Exit code 1 and what to do next."""
    ledger = open_sql_ledger(site.ledger_url)
    arrival = next(e for e in reversed(site.room.entries) if type(e.fact).__name__ == "CallArrived")
    ledger.append([replace(arrival, sequence=len(site.room.entries) + 1)])
    ledger.close()
    result = edge(command)
    assert (result.exit_code, result.stderr.startswith("edge: the ledger cannot be folded: ")) == (1, True)


HOSTILE = '\x1b]0;owned\x07\x1b[2J[red]x[/red]\r\n"; DROP TABLE facts; --\u202e\u2066\x9b31m\u0000\ud7ff'


@pytest.mark.parametrize(
    "more", [[], ["--numbers"], ["--numbers", "--json"]], ids=["masked", "numbers", "json"]
)
def test_hostile_callers_cannot_reach_the_terminal(directory: Path, edge: Run, more: list[str]) -> None:
    """Whatever a stranger wrote is shown as escapes, and markup as it is."""
    room = Room()
    room.hang_up(room.arrive(number=HOSTILE + "+441632960777", name=HOSTILE * 40))
    ledger = open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite")
    ledger.append(room.entries)
    ledger.close()
    for arguments in (["calls"], ["call", "-1"]):
        result = edge(*arguments, *more)
        assert result.exit_code == 0, result.output
        assert not [mark for mark in result.output if not mark.isprintable() and mark != "\n"]
    if more == ["--numbers"]:
        assert "\\x1b]0;owned\\x07" in result.output
        assert "[red]x[/red]" in result.output


def test_figures_are_whole_on_a_narrow_terminal(
    edge: Run, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text folds, numbers never lose a digit."""
    monkeypatch.setenv("COLUMNS", "40")
    result = edge("call", "-1")
    for line in edge("call", "-1").stdout.splitlines():
        assert "…" not in line or "…123" in line
    assert "+2.100" in result.stdout


def test_no_colour_on_a_pipe(edge: Run, site: Site) -> None:
    """Plain text, one line per row."""
    assert "\x1b" not in edge("status").stdout


def test_every_command_has_help() -> None:
    """Each has a line in the list and a help page of its own."""
    for name in COMMANDS:
        if name != "run":  # imports the daemon
            result = CliRunner().invoke(main, [name, "--help"])
            assert (result.exit_code, "Usage: " in result.stdout) == (0, True), name


def test_wrong_usage_is_2() -> None:
    """As of every command line."""
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """A script for each shell, that asks edge itself."""
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, "_EDGE_COMPLETE" in result.stdout) == (0, True)


def test_version(edge_json: Callable[..., Any]) -> None:
    """In one line or in JSON."""
    assert set(edge_json("version")) == {"edge", "python", "sqlite"}
    assert CliRunner().invoke(main, ["version"]).stdout.startswith("edge ")


def test_times_are_exact() -> None:
    """Microseconds are never rounded by a float."""
    assert output.rfc3339(1_795_348_800_000_001) == "2026-11-22T12:00:00.000001Z"
    assert output.rfc3339(-1) == "1969-12-31T23:59:59.999999Z"
