"""The projection against the plain fold of everything, however it is interrupted."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from edge.core import facts
from edge.core.model import Blindness, Bound, CallOutcome, ClockState, Instant, Side, Stage
from edge.ledger.memory import MemoryLedger
from edge.mi import projection as module
from edge.mi.columns import CALL_FIELDS, OPEN_US, Flag
from edge.mi.projection import CallVersion, Projection
from edge.views.caller import caller_id
from edge.views.calls import fold_calls
from edge.views.record import CallRecord
from edge.views.tasks import fold_tasks
from tests.simulation.test_room import live
from tests.views.callbacks import kept
from tests.views.tape import Tape, triaged

KEY = b"k" * 32


def ledger_of(entries: list[facts.Entry]) -> MemoryLedger:
    """These facts as a ledger."""
    ledger = MemoryLedger()
    ledger.append(entries)
    return ledger


def without_numbers(call: CallRecord) -> CallRecord:
    """As a projection keeps it."""
    callback = None if call.callback is None else replace(call.callback, number=None)
    passed_on = [replace(each, target=None) for each in call.passed_on]
    return replace(
        call, caller_number=None, caller_name=None, knowledge=None, callback=callback, passed_on=passed_on
    )


def whole(projection: Projection) -> list[CallVersion]:
    """Every call, in order of the last change."""
    return projection.changes(-1, 1_000_000)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_plain_fold_however_often_it_is_interrupted(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small batches, closed and opened again, with almost nothing in memory: the same calls, tasks, positions and versions."""
    entries = live(seed, instants=400).entries
    ledger, dice = ledger_of(entries), random.Random(seed)
    monkeypatch.setattr(module, "KEPT_IN_MEMORY", 2)
    file = tmp_path / "projection.db"
    projection = Projection(ledger, file, KEY)
    while projection.advance(dice.randrange(1, 60)):
        if dice.random() < 0.3:
            projection.close()
            projection = Projection(ledger, file, KEY)
    expected = {call_id: without_numbers(call) for call_id, call in fold_calls(entries).items()}
    found = whole(projection)
    assert {each.call_id: each.record for each in found} == expected
    assert {each.call_id for each in found if each.in_progress} == {
        call_id for call_id, call in expected.items() if call.ended_at is None
    }
    tasks = {each.record.task_id: each.record for each in projection.tasks(-1, 1_000_000)}
    assert tasks == {name: replace(task, number=None) for name, task in fold_tasks(entries).items()}
    afresh = Projection(ledger, None, KEY)
    afresh.catch_up()
    assert whole(afresh) == found
    figures, again = projection.figures(0, OPEN_US), afresh.figures(0, OPEN_US)
    assert figures.calls["number"].tolist() == list(range(1, len(expected) + 1))
    for name in ("arrived_us", "wait_queue_ns", "wait_trunk_ns", "fate", "flags", "caller", "talked_ns"):
        assert figures.calls[name].tolist() == again.calls[name].tolist()
    assert sorted(figures.spans["started_us"].tolist()) == sorted(again.spans["started_us"].tolist())
    assert figures.holes == again.holes
    afresh.close()
    projection.close()


def test_a_late_fact_makes_a_new_version_further_on() -> None:
    """A reader who has had everything gets the call again, and nothing else."""
    tape = triaged()
    ledger = ledger_of(tape.entries)
    projection = Projection(ledger, None)
    projection.catch_up()
    (before,) = whole(projection)
    assert projection.changes(before.position, 10) == []
    late = facts.CallAnnotated(call_id="c1", kind="incident", value="WM-1", state="", by="4001")
    at = tape.now.plus(86_400)
    sequence = len(tape.entries) + 1
    ledger.append(
        [facts.Entry(sequence=sequence, at=at, fact=late, reason="because", clock=ClockState.SYNCHRONISED)]
    )
    assert projection.advance() == 1
    (after,) = projection.changes(before.position, 10)
    assert (after.call_id, after.version, after.through_sequence) == (
        "c1",
        before.version + 1,
        len(tape.entries) + 1,
    )
    assert after.record.annotations[-1].value == "WM-1"
    projection.close()


def test_no_number_is_in_the_file(tmp_path: Path) -> None:
    """Not even in the pages that SQLite has let go; the hash is that of the ledger's other readers."""
    tape = kept()
    file = tmp_path / "projection.db"
    projection = Projection(ledger_of(tape.entries), file, KEY)
    projection.catch_up()
    assert {each.caller for each in whole(projection)} == {caller_id(KEY, "+441632960123")}
    projection.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"960123" not in held
    assert b"900123" not in held


def test_a_caller_who_calls_again_soon_is_one_contact() -> None:
    """Within half an hour of the last call's end; later it is another need."""
    tape = Tape()
    for number, pause in enumerate((0, 1500, 1500, 2000)):
        tape.wait(pause)
        tape.arrive(f"c{number}")
        tape.wait(600)
        tape.end(f"c{number}", CallOutcome.ABANDONED, Stage.QUEUE)
    projection = Projection(ledger_of(tape.entries), None, KEY)
    projection.catch_up()
    assert [each.contact_id for each in whole(projection)] == [1, 1, 1, 4]
    assert [each.call_id for each in projection.contact(1)] == ["c0", "c1", "c2"]
    assert [contact for _, contact in projection.contacts(-1, 10)] == [1, 4]
    projection.close()


def test_another_ledger_in_its_place_is_folded_from_its_first_fact(tmp_path: Path) -> None:
    """A ledger that was exchanged, or cut back, leaves nothing of the old one."""
    file = tmp_path / "projection.db"
    first = Projection(ledger_of(triaged().entries), file)
    first.catch_up()
    first.close()
    tape = Tape()
    tape.arrive("other")
    second = Projection(ledger_of(tape.entries), file)
    assert second.through == 0
    second.catch_up()
    assert [each.call_id for each in whole(second)] == ["other"]
    second.close()


def test_a_file_of_another_layout_is_made_again(tmp_path: Path) -> None:
    """An older program's projection costs the time to fold again, and nothing else."""
    file = tmp_path / "projection.db"
    ledger = ledger_of(triaged().entries)
    projection = Projection(ledger, file)
    projection.catch_up()
    before = whole(projection)
    projection._writer.execute("PRAGMA user_version = 99")
    projection.close()
    again = Projection(ledger, file)
    assert again.through == 0
    again.catch_up()
    assert whole(again) == before
    again.close()


def test_two_who_fold_at_once_give_one_result(tmp_path: Path) -> None:
    """Batch by batch in turn, each finds what the other has done."""
    entries = live(5, instants=300).entries
    ledger, file = ledger_of(entries), tmp_path / "projection.db"
    one, other = Projection(ledger, file), Projection(ledger, file)
    while one.advance(37) or other.advance(11):
        other.advance(23)
    expected = fold_calls(entries)
    assert {each.call_id: each.record for each in whole(other)} == {
        call_id: without_numbers(call) for call_id, call in expected.items()
    }
    one.close()
    other.close()


def test_columns_are_exact_to_the_nanosecond() -> None:
    """A wait of ten seconds less one nanosecond is not one of ten seconds."""
    for nanoseconds in (10_000_000_000, 9_999_999_999, 10_000_000_001):
        tape = Tape()
        tape.arrive("c1")
        tape.now = Instant(tape.now.monotonic_ns + nanoseconds, tape.now.utc_us + nanoseconds // 1000)
        tape.connect("c1", "4001")
        projection = Projection(ledger_of(tape.entries), None)
        projection.catch_up()
        (wait,) = projection.figures(0, OPEN_US).calls["wait_queue_ns"].tolist()
        assert wait == nanoseconds
        projection.close()


def test_hours_and_holes_are_kept() -> None:
    """Signed in until now, not ready for a while; the switch lost and seen again."""
    tape = Tape()
    started = tape.now.utc_us
    tape.wait(60)
    tape.say(facts.AgentBecameNotReady(agent="4001", reason="break"))
    tape.say(facts.SwitchLost(link="ari", error="closed"))
    tape.wait(30)
    tape.say(facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0))
    tape.say(facts.AgentBecameReady(agent="4001"))
    tape.wait(10)
    tape.say(facts.AgentSignedOut(agent="4001"))
    projection = Projection(ledger_of(tape.entries), None)
    projection.catch_up()
    figures = projection.figures(0, OPEN_US)
    spans = [
        (
            figures.words[span["state"]],
            (span["started_us"] - started) / 1e6,
            (span["ended_us"] - started) / 1e6,
        )
        for span in figures.spans
        if figures.words[span["agent"]] == "4001"
    ]
    assert sorted(spans) == [
        ("break", 60.0, 90.0),
        ("ready", 0.0, 60.0),
        ("ready", 90.0, 100.0),
        ("signed in", 0.0, 100.0),
    ]
    (hole,) = figures.holes
    assert figures.first_us == started
    assert (hole.hole, hole.detail) == ("switch", "ari was lost")
    assert hole.ended_us is not None
    assert hole.ended_us - hole.started_us == 30_000_000
    projection.close()


def test_a_traced_call_stands_once_however_it_was_folded(tmp_path: Path) -> None:
    """The switch's own record moves its arrival after it was folded: no second row waits for ever at the old one."""
    tape = Tape()
    tape.say(facts.CallArrived(call_id="c1", leg_id="l1", line="main", number_withheld=True, adopted=True))
    ledger = ledger_of(tape.entries)
    projection = Projection(ledger, tmp_path / "projection.db")
    projection.catch_up()
    folded, earlier = len(tape.entries), tape.now.plus(-20)
    tape.wait(60)
    tape.say(traced("c1", earlier))
    ledger.append(tape.entries[folded:])
    projection.catch_up()
    afresh = Projection(ledger, None)
    afresh.catch_up()
    found, expected = projection.figures(0, OPEN_US), afresh.figures(0, OPEN_US)
    assert found.calls["arrived_us"].tolist() == [earlier.utc_us]
    for name, _ in CALL_FIELDS:
        assert found.calls[name].tolist() == expected.calls[name].tolist()
    assert not int(found.calls["flags"][0]) & Flag.ADOPTED
    projection.close()
    afresh.close()


def traced(call_id: str, arrived_at: Instant) -> facts.CallTraced:
    """What the switch's own record says of a call: when it really arrived."""
    return facts.CallTraced(
        call_id=call_id,
        gap=1,
        source="cel",
        added=False,
        arrived_at=arrived_at,
        answered_at=None,
        fallback_at=None,
        connected_at=None,
        agent=None,
        ended_at=None,
        outcome=None,
        side=Side.CALLER,
        cause="",
        waited_seconds=0.0,
        talked_seconds=0.0,
    )


@pytest.mark.parametrize("complete", [True, False])
def test_a_gap_that_was_traced_is_marked(complete: bool, tmp_path: Path) -> None:
    """By its number, even after the file was closed between the gap and its trace."""
    tape = Tape()
    since = tape.now
    tape.say(facts.SwitchLost(link="ari", error="closed"))
    tape.wait(30)
    tape.say(
        facts.GapEnded(gap=1, why=Blindness.LINK_LOST, since=since, bound=Bound.SEEN, seconds=30.0, calls=())
    )
    tape.say(facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0))
    ledger, folded = ledger_of(tape.entries), len(tape.entries)
    projection = Projection(ledger, tmp_path / "projection.db")
    projection.catch_up()
    assert [(hole.gap, hole.traced) for hole in projection.holes()] == [(1, False)]
    projection.close()
    tape.wait(1)
    tape.say(
        facts.GapTraced(
            gap=1,
            complete=complete,
            detail="",
            calls_seen=0,
            calls_added=0,
            calls_corrected=0,
            calls_unknown=0,
        )
    )
    ledger.append(tape.entries[folded:])
    again = Projection(ledger, tmp_path / "projection.db")
    again.catch_up()
    assert [(hole.gap, hole.traced) for hole in again.holes()] == [(1, complete)]
    again.close()


def test_an_incident_goes_on_where_the_file_was_put_away(tmp_path: Path) -> None:
    """Declared before, ended after; a second declaration of the same changes nothing."""
    tape = Tape()
    tape.say(facts.IncidentDeclared(by="4001"))
    begun = tape.now.utc_us
    ledger = ledger_of(tape.entries)
    projection = Projection(ledger, tmp_path / "projection.db")
    projection.catch_up()
    assert [mark.ended_us for mark in projection.figures(0, OPEN_US).marks] == [None]
    projection.close()
    told = len(tape.entries)
    tape.wait(60)
    tape.say(facts.IncidentDeclared(by="4002"))
    tape.say(facts.IncidentEnded(by="4002"))
    ledger.append(tape.entries[told:])
    again = Projection(ledger, tmp_path / "projection.db")
    again.catch_up()
    marks = again.figures(0, OPEN_US).marks
    assert [(mark.started_us, mark.ended_us) for mark in marks] == [(begun, tape.now.utc_us)]
    again.close()
