"""Upgraded, test, Welsh, turned-away calls, alarms and incidents, as every command that looks shows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.cli import output, picture
from edge.core import facts
from edge.core.model import CallerKnowledge, CallOutcome, CheckVerdict, ClassSource, Rung, Stage
from edge.ledger.store import open_sql_ledger
from tests.cli.conftest import Run
from tests.views.tape import Tape


def shift() -> Tape:
    """A waiting 999 that rang everybody, an upgraded 101 in talk, a listed Welsh 101, a turned-away one, and a test call."""
    tape = Tape()
    tape.say(facts.AlarmRaised(kind="old", detail="of two hours ago"))
    tape.wait(7200)
    tape.say(facts.IncidentDeclared(by="ann"))
    tape.arrive("upgraded")
    tape.wait(4)
    tape.say(facts.CallUpgraded(call_id="upgraded", queue="emergency"))
    tape.connect("upgraded", "4001")
    tape.arrive("welsh", language="cy", assisted=True)
    known = CallerKnowledge(calls_in_day=4, calls_in_month=9, abandons_in_month=2, listing="vulnerable")
    tape.say(facts.CallerRecognised(call_id="welsh", knowledge=known))
    tape.say(
        facts.CallClassified(
            call_id="welsh",
            queue="general",
            priority_class="vulnerable",
            language="cy",
            source=ClassSource.LISTED,
            detail="vulnerable",
        )
    )
    tape.arrive("closed")
    tape.say(facts.CallTurnedAway(call_id="closed", why="closed", prompt="closed"))
    tape.wait(5)
    tape.end("closed", CallOutcome.REFUSED, Stage.LEAVING, "closed")
    tape.arrive("test", line="999_test", queue="emergency", tier=0, test=True)
    tape.arrive("emergency", line="emergency", queue="emergency", tier=0)
    tape.wait(8)
    tape.say(facts.CallEscalated(call_id="emergency", rung=Rung.ALL_AGENTS))
    tape.say(facts.AlarmRaised(kind="999 unanswered", detail="rings everybody", call_id="emergency"))
    return tape


@pytest.fixture
def tape(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Tape:
    """That shift on disk, looked at now."""
    made = shift()
    ledger = open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite")
    ledger.append(made.entries)
    ledger.close()
    monkeypatch.setattr(output, "now", lambda: made.now)
    return made


def test_what_must_not_be_overlooked_stands_on_top(
    edge: Run, edge_json: Callable[..., Any], tape: Tape
) -> None:
    """The major incident, then the alarms of the last hour, the newest first."""
    for command in (["status"], ["top", "--for", "0"]):
        lines = edge(*command).stdout.splitlines()
        assert lines[0].startswith("MAJOR INCIDENT since 2026-11-22 14:00:00")
        assert lines[1] == "ALARM 14:00:17 999 unanswered: rings everybody (call emergency)"
        assert not any("two hours" in line for line in lines)
    status = edge_json("status")
    assert [alarm["kind"] for alarm in status["alarms"]] == ["999 unanswered"]
    assert (status["incident"]["declared"], status["alarms"][0]["call_id"]) == (True, "emergency")


def test_the_last_checks_of_the_equipment(
    edge: Run, edge_json: Callable[..., Any], tape: Tape, directory: Path
) -> None:
    """Each probe with its age, the newest first, and what was wrong with it; nothing where nobody checks."""
    assert "checks" not in edge("status").stdout
    ledger = open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite")
    failed = CheckVerdict.FAIL
    tape.say(facts.EquipmentChecked(probe="call.one", verdict=failed, figure="not rung", by="hwtest"))
    tape.wait(240)
    tape.say(facts.EquipmentChecked(probe="ctl.link", verdict=CheckVerdict.PASS, figure="1 ms", by="hwtest"))
    tape.wait(60)
    ledger.append(tape.entries[ledger.last_sequence() :])
    ledger.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "now", lambda: tape.now)
        shown = " ".join(edge("status").stdout.split())
        assert "checks ctl.link pass 1 min ago; call.one fail 5 min ago (not rung)" in shown
        checks = edge_json("status")["checks"]
    assert (checks["call.one"]["verdict"], checks["ctl.link"]["figure"]) == ("fail", "1 ms")


def test_calls_refused_at_the_entrance_stand_in_a_row_that_says_so(edge: Run, directory: Path) -> None:
    """They never had a queue: the row is not left without a name."""
    made = Tape()
    made.say(facts.CallArrived(call_id="c1", leg_id="c1", line="main", number_withheld=True, adopted=False))
    made.end("c1", CallOutcome.REFUSED, Stage.ENTRY, "no channel to spare")
    ledger = open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite")
    ledger.append(made.entries)
    ledger.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "now", lambda: made.now)
        assert re.search(r"^at the entrance +101 ", edge("status").stdout, re.MULTILINE)


def test_many_alarms_do_not_push_the_picture_away(
    edge: Run, edge_json: Callable[..., Any], tape: Tape, directory: Path
) -> None:
    """The newest are shown, the others counted; programs get all."""
    ledger = open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite")
    for number in range(30):
        tape.say(facts.AlarmRaised(kind="assist", detail=f"agent {number}"))
    ledger.append(tape.entries[ledger.last_sequence() :])
    ledger.close()
    lines = edge("status").stdout.splitlines()
    assert sum(line.startswith("ALARM") for line in lines) == picture.ALARMS_SHOWN
    assert lines[1].endswith("assist: agent 29")
    assert "and 23 more alarms of the last hour" in lines
    assert len(edge_json("status")["alarms"]) == 31


def test_alarms_end_after_an_hour_while_top_goes_on(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any new fact."""
    from edge.cli.places import Site
    from edge.ledger.memory import MemoryLedger

    ledger = MemoryLedger()
    ledger.append(tape.entries)
    shown = picture.Picture(ledger, Site("memory:"))
    assert len(shown.alarms) == 1
    later = tape.now.plus(picture.ALARM_SECONDS + 1)
    monkeypatch.setattr(output, "now", lambda: later)
    assert shown.alarms == []


def test_figures_of_a_999_are_those_of_999_lines(edge_json: Callable[..., Any], tape: Tape) -> None:
    """The upgraded 101 waits and talks among them and counts as a 101; test calls count nowhere."""
    status = edge_json("status")
    queues = {(queue["queue"], queue["tier"]): queue for queue in status["queues"]}
    emergency, general = queues["emergency", "999"], queues["general", "101"]
    assert (emergency["waiting"], emergency["talking"], emergency["upgraded"]) == (1, 1, 1)
    assert (emergency["today"]["offered"], emergency["today"]["answered"]) == (1, 0)
    today = general["today"]
    assert (today["offered"], today["answered"], today["upgraded"], today["turned_away"]) == (3, 1, 1, 1)
    assert today["service_level"] == 1.0
    assert today["waits_by_language"]["en"]["longest_seconds"] == 4.0
    assert (status["calls"]["open"], status["calls"]["test"]) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--upgraded"], ["upgraded"]),
        (["--test"], ["test"]),
        (["--language", "cy"], ["welsh"]),
        (["--class", "vulnerable"], ["welsh"]),
        (["--outcome", "refused"], ["closed"]),
        (["--upgraded", "--test"], []),
        (["--open", "--language", "en"], ["upgraded", "test", "emergency"]),
        (["--since", "1h", "--class", "standard"], ["upgraded", "closed", "test", "emergency"]),
    ],
)
def test_calls_are_chosen_by_kind(
    edge_json: Callable[..., Any], tape: Tape, arguments: list[str], found: list[str]
) -> None:
    """By what happened to them as by what they were."""
    assert [call["call_id"] for call in edge_json("calls", *arguments)["calls"]] == found


def test_calls_are_shown_as_what_they_are(edge: Run, edge_json: Callable[..., Any], tape: Tape) -> None:
    """In the table and for programs: the tier is the one they count in."""
    table = edge("calls").stdout
    assert re.search(r"^upgraded .* upgraded 101 ", table, re.MULTILINE)
    assert re.search(r"^test .* test 999 ", table, re.MULTILINE)
    assert re.search(r"^welsh .* vulnerable +cy, assisted ", table, re.MULTILINE)
    assert re.search(r"^closed .* refused \(closed\) ", table, re.MULTILINE)
    calls = {call["call_id"]: call for call in edge_json("calls")["calls"]}
    assert [(calls[name]["tier"], calls[name]["kind"]) for name in ("upgraded", "test", "emergency")] == [
        ("101", "upgraded 101"),
        ("999", "test 999"),
        ("999", "999"),
    ]
    assert calls["emergency"]["escalations"][0]["rung"] == "all_agents"
    assert calls["closed"]["departures"][0]["why"] == "closed"
    assert (calls["welsh"]["class_source"], calls["welsh"]["assisted"]) == ("listed", True)


def test_top_shows_how_far_a_999_has_come(edge: Run, tape: Tape) -> None:
    """And that it waits; test calls are marked and last in nobody's figures."""
    table = edge("top", "--for", "0").stdout
    assert re.search(r"^emergency +999 +emergency .* waiting \(rang everybody\) ", table, re.MULTILINE)
    assert re.search(r"^upgraded +upgraded 101 ", table, re.MULTILINE)
    assert re.search(r"^test +test 999 ", table, re.MULTILINE)


def test_the_story_and_why_tell_it_in_plain_words(edge: Run, tape: Tape) -> None:
    """What a councillor can be read out."""
    assert "rang everybody at 8.0 s" in edge("why", "emergency").stdout.splitlines()[0]
    assert "upgraded 101 at 4.0 s" in edge("call", "upgraded").stdout
    assert edge("why", "test").stdout.startswith("The test call is open")
    story = edge("call", "welsh").stdout
    assert "class vulnerable by the number list" in story
    assert "assisted" in story


def test_what_was_known_of_a_caller_is_a_disclosure(
    edge: Run, edge_json: Callable[..., Any], tape: Tape
) -> None:
    """Only with --numbers."""
    assert "4 calls in 24 h" not in edge("call", "welsh").stdout
    assert "caller_knowledge" not in edge_json("call", "welsh")["call"]
    assert (
        "listed as vulnerable, 4 calls in 24 h, 9 in 30 days, 2 of them"
        in edge("call", "welsh", "--numbers").stdout
    )
    known = edge_json("call", "welsh", "--numbers")["call"]["caller_knowledge"]
    assert (known["calls_in_month"], known["listing"]) == (9, "vulnerable")


def test_agents_show_the_kind_of_call_they_have(edge: Run, edge_json: Callable[..., Any], tape: Tape) -> None:
    """An upgraded 101 is not to be taken for a 999."""
    agents = {agent["agent"]: agent for agent in edge_json("agents")["agents"]}
    assert (agents["4001"]["call_kind"], agents["4002"]["call_kind"]) == ("upgraded 101", None)
    assert re.search(r"^4001 .* upgraded 101 ", edge("agents").stdout, re.MULTILINE)
