"""This record against the switch's own and against BT's figures: every kind of difference, and none where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, Side
from edge.pbx.asterisk.identity import leg_of_attempt, leg_of_offer
from edge.reports.others import TheirsError, read_bt, read_cdr
from edge.reports.reconcile import our_calls
from tests.cli.conftest import Run, Site
from tests.metrics.calls import SECOND, START_US, Told, instant, ledger_of

LONDON = ZoneInfo("Europe/London")
ROW = (
    '"","0163","101","entry","""x"" <1>","PJSIP/t-1","PJSIP/a","Dial","x","{start}",,"{end}",10,8,'
    '"{disposition}","DOC","{key}",""\n'
)
Reconcile = Callable[..., tuple[int, dict[str, object]]]


def cdr(*calls: tuple[str, str, str, str]) -> str:
    """Master.csv of these: uniqueid, start, end, disposition."""
    return "".join(
        ROW.format(key=key, start=f"2026-11-22 {start}", end=f"2026-11-22 {end}", disposition=disposition)
        for key, start, end, disposition in calls
    )


SHIFT = (
    ("leg-1", "12:00:00", "12:00:15", "ANSWERED"),
    ("leg-2", "12:00:11", "12:00:15", "NO ANSWER"),
    ("leg-3", "12:00:46", "12:00:59", "ANSWERED"),
    ("leg-4", "12:00:47", "12:00:59", "ANSWERED"),
    ("leg-5", "12:00:47", "12:00:59", "ANSWERED"),
)
"""As the switch would have written the busy shift down."""


@pytest.fixture
def compare(site: Site, edge: Run, tmp_path: Path) -> Reconcile:
    """Runs it on a file; the exit code and what it says."""

    def run(option: str, text: str, *more: str) -> tuple[int, dict[str, object]]:
        file = tmp_path / "theirs.csv"
        file.write_text(text, encoding="utf-8")
        done = edge("reconcile", option, str(file), "--json", *more)
        return done.exit_code, json.loads(done.stdout)

    return run


def told(found: dict[str, object]) -> list[tuple[str, str]]:
    """Each difference: about what, and which."""
    return [(d["subject"], d["what"]) for d in found["differences"]]  # type: ignore[attr-defined]


def test_calls_that_agree_but_for_those_still_open(compare: Reconcile, site: Site) -> None:
    """The ended ones agree to the second; of three the end is not known here yet."""
    code, found = compare("--cdr", cdr(*SHIFT))
    assert code == 1
    assert (found["ours"], found["theirs"], found["matched"]) == (5, 5, 5)
    assert told(found) == [(site.ids[name], "ended") for name in ("talking", "fallback", "waiting")]


def test_every_kind_of_difference(compare: Reconcile, site: Site) -> None:
    """Only here, only there, another time, another answer; a header and rows in two parts change nothing."""
    late = ("leg-1", "12:00:09", "12:00:15", "NO ANSWER")
    code, found = compare("--cdr", cdr(("leg-0", "11:59:00", "12:00:40", "ANSWERED"), late, *SHIFT[2:]))
    assert code == 1
    assert ("leg-0", "only in the other record") in told(found)
    assert (site.ids["rejected"], "only in this record") in told(found)
    assert (site.ids["answered"], "arrived") in told(found)
    assert (site.ids["answered"], "answered") in told(found)
    assert (found["ours"], found["theirs"], found["matched"]) == (5, 5, 4)


def test_what_was_corrected_since_is_compared_as_corrected() -> None:
    """A call whose beginning and end the switch's own record told afterwards."""
    traced = facts.CallTraced(
        call_id="c0",
        gap=1,
        source="cel",
        added=False,
        arrived_at=instant(-20 * SECOND),
        answered_at=None,
        fallback_at=None,
        connected_at=instant(10 * SECOND),
        agent="4001",
        ended_at=instant(30 * SECOND),
        outcome=CallOutcome.ANSWERED,
        side=Side.CALLER,
        cause="16",
        waited_seconds=30.0,
        talked_seconds=20.0,
    )
    ledger = ledger_of([Told(arrives=0, waits=40 * SECOND, fate="unknown")], (90 * SECOND, traced))
    [call] = our_calls(ledger, START_US - 3_600_000_000, START_US + 3_600_000_000)
    assert (call.arrived_us - START_US, call.connected) == (-20_000_000, True)
    assert call.ended_us == START_US + 30_000_000
    assert our_calls(ledger, START_US - 3_600_000_000, START_US - 20_000_000) == []


def test_a_call_back_ends_for_the_switch_when_its_caller_leaves() -> None:
    """It was answered an hour later; the leg by which it came was gone at once."""
    ledger = ledger_of([Told(arrives=0, waits=3600 * SECOND, promised=20 * SECOND)])
    [call] = our_calls(ledger, START_US, START_US + 1_000_000)
    assert call.ended_us == START_US + 20_000_000


def test_a_header_and_several_rows_of_one_call(tmp_path: Path) -> None:
    """The first begins it, the last ends it, one answer is an answer; local time is what the file has."""
    file = tmp_path / "cdr.csv"
    file.write_text(
        "uniqueid,start,end,disposition\n"
        "a,2026-07-01 12:00:00,2026-07-01 12:00:20,NO ANSWER\n"
        "a,2026-07-01 12:00:20,2026-07-01 12:01:00,ANSWERED\n",
        encoding="utf-8",
    )
    [call] = read_cdr(file, LONDON).values()
    [utc] = read_cdr(file, None).values()
    assert (call.ended_us - call.started_us, call.answered, call.line) == (60_000_000, True, 2)
    assert utc.started_us - call.started_us == 3_600_000_000


def test_the_record_that_our_dialplan_has_the_switch_write(compare: Reconcile, site: Site) -> None:
    """To the microsecond, in UTC whatever the zone; the legs of agents and of call-backs in it are no calls."""
    noon_us = 1_795_348_800_000_000
    row = '"{key}","{key}","PJSIP/t-1","","{start}","0.000000","{end}","NO ANSWER","Stasis",""\n'

    def at(second: float) -> str:
        return f"{noon_us // 1_000_000 + second:.6f}"

    offer = next(e.fact.offer_id for e in site.room.entries if isinstance(e.fact, facts.OfferMade))
    answered, rejected = at(0.004), at(11.1)
    text = (
        row.format(key="leg-1", start=answered, end=at(15.1))
        + row.format(key=leg_of_offer(offer), start=at(1), end=at(9))
        + row.format(key=leg_of_attempt("20261122T120000Z-1", 1), start=at(1), end=at(9))
        + row.format(key="leg-2", start=rejected, end=at(15.1))
    )
    _, found = compare("--cdr", text.replace("NO ANSWER", "ANSWERED", 1))
    assert (found["theirs"], found["matched"]) == (2, 2)
    assert told(found) == []


def test_figures_of_999(compare: Reconcile) -> None:
    """What agrees is not listed, what differs with both values."""
    agree = "period,answered,under_10,from_10_to_60,over_60,mean_seconds\n2026-11,1,1,0,0,1.0\n"
    assert compare("--bt", agree) == (0, {"ours": 5, "theirs": 5, "matched": 5, "differences": []})
    code, found = compare("--bt", "Period,Under_10,mean_seconds\n2026-11-22,3,7.5\n")
    assert code == 1
    assert found["differences"] == [
        {"subject": "2026-11-22", "what": "answered in under 10 s", "ours": "1", "theirs": "3"},
        {"subject": "2026-11-22", "what": "mean seconds to answer", "ours": "1", "theirs": "7.5"},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no call"),
        ("a,b\n", "the first row must name the columns"),
        (
            "uniqueid,start,end,disposition\nx,yesterday,2026-01-01 00:00:00,ANSWERED\n",
            ":2: start is 'yesterday'",
        ),
        ("uniqueid,start,end,disposition\n,2026-01-01 00:00:00,2026-01-01 00:00:00,X\n", "loguniqueid"),
    ],
)
def test_a_file_that_cannot_be_used(site: Site, edge: Run, tmp_path: Path, text: str, words: str) -> None:
    """Which line, what stands there, what would be right."""
    file = tmp_path / "theirs.csv"
    file.write_text(text, encoding="utf-8")
    done = edge("reconcile", "--cdr", str(file))
    assert done.exit_code != 0
    assert words in done.output


@pytest.mark.parametrize(
    "text",
    [
        "period,under_10\nOctober,3\n",
        "period,under_10\n2026-10,many\n",
        "period,under_10\n2026-10,-1\n",
        "period,other\n2026-10,1\n",
        "period,under_10\n2026-10,1\n2026-10,1\n",
        "under_10\n3\n",
    ],
)
def test_figures_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    """Each names its line."""
    file = tmp_path / "bt.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TheirsError, match=rf"{file}:[123]: "):
        read_bt(file)


def test_one_file_at_a_time(edge: Run, site: Site) -> None:
    """Neither none nor both."""
    assert edge("reconcile").exit_code == 2
