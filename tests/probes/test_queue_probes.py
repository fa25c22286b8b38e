"""The probes of the queue judge numbers: what is right passes, and each fault is found by its code and layer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge.core.facts import CallArrived, Entry, Fact
from edge.core.facts import CallEnded as CallHasEnded
from edge.core.model import CallOutcome, Side, Stage
from hwtest.audio.hearing import NANOSECONDS, Hearing, likeness
from hwtest.audio.signal import silence, tone
from hwtest.desks import POLICY as QUEUES
from hwtest.lab.configuration import read_policy
from hwtest.policing import Joined, Kind, expected, kinds_of, overtaken
from hwtest.probes import (
    queue_abandon,
    queue_callback,
    queue_dispatch,
    queue_greet,
    queue_noanswer,
    queue_order,
    queue_overflow,
)
from hwtest.probes.contract import Layer, NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.target import Target
from hwtest.useragent.g711 import A_LAW
from hwtest.useragent.g711 import tone as coded_tone
from tests.probes.made import LIVE
from tests.probes.test_record_probes import entries_of


def found(sheet: Sheet) -> list[tuple[str, Layer, Verdict]]:
    """What a sheet blames."""
    return [(finding.code, finding.layer, finding.verdict) for finding in sheet.findings]


def sheet_of(probe: Probe) -> Sheet:
    """An empty one."""
    return Sheet(probe)


# --- queue.greet ---

WELL = queue_greet.Heard(
    answer_delay=0.003,
    prompt_delay=0.03,
    dead_air=0.5,
    greeted=0.99,
    packets=1100,
    listened=22.0,
    lasted=True,
)


def greeted(heard: queue_greet.Heard, refused: str | None = None) -> Sheet:
    """What the probe says of it."""
    sheet = sheet_of(queue_greet.PROBE)
    queue_greet.judge(sheet, heard, refused, "id", "101")
    return sheet


def test_a_caller_who_is_greeted_at_once_passes() -> None:
    """Answered, greeted, never silent."""
    assert greeted(WELL).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "code", "layer"),
    [
        ({"prompt_delay": 3.0}, queue_greet.LATE, Layer.DAEMON),
        ({"dead_air": 4.0}, queue_greet.DEAD_AIR, Layer.DAEMON),
        ({"greeted": 0.07}, queue_greet.UNGREETED, Layer.DAEMON),
        ({"prompt_delay": None, "dead_air": None, "greeted": None}, queue_greet.MUTE, Layer.SWITCH),
        (
            {"prompt_delay": None, "dead_air": None, "greeted": None, "packets": 0},
            queue_greet.UNHEARD,
            Layer.NETWORK,
        ),
        ({"lasted": False}, queue_greet.DROPPED, Layer.DAEMON),
        ({"answer_delay": 7.0}, queue_greet.SLOW, Layer.SWITCH),
    ],
)
def test_each_fault_of_a_greeting_has_its_layer(change: dict[str, object], code: str, layer: Layer) -> None:
    """One fault, one finding."""
    assert found(greeted(replace(WELL, **change))) == [(code, layer, Verdict.FAIL)]  # type: ignore[arg-type]


def test_a_call_that_is_refused_is_the_dialplans() -> None:
    """And nothing else is judged."""
    sheet = greeted(WELL, queue_greet.REFUSED)
    assert found(sheet) == [(queue_greet.REFUSED, Layer.DIALPLAN, Verdict.FAIL)]
    assert sheet.figures == []


def hearing_of(pattern: str) -> Hearing:
    """A packet each 20 ms: `s` silence, `t` a tone of 1000 Hz, `.` none at all."""
    hearing = Hearing()
    codes = coded_tone(A_LAW, 1000, -10.0)[:160]
    for index, kind in enumerate(pattern):
        if kind != ".":
            hearing.take(codes if kind == "t" else bytes([A_LAW.silence]) * 160, index * 20_000_000)
    return hearing


def test_silence_is_counted_whether_packets_come_or_not() -> None:
    """From the beginning, in between and at the end; a single packet is a click and begins no sound."""
    hearing = hearing_of("st" + "s" * 8 + "ttt" + "." * 50 + "tt")
    assert hearing.first_sound_ns(0) == 10 * 20_000_000
    assert hearing.longest_silence_seconds(0, 2 * 10**9) == pytest.approx(1.02)
    assert hearing.longest_silence_seconds(0, 10**10) == pytest.approx(10 - 64 * 0.02)
    assert hearing.packets(0, 40_000_000) == 2


def test_a_tone_is_told_from_music() -> None:
    """A tone that is most of what is heard, from a given instant on."""
    hearing = hearing_of("ss" + "t" * 5)
    assert hearing.first_tone_ns(1000, 0) == 2 * 20_000_000
    assert hearing.first_tone_ns(1000, 100_000_000) == 5 * 20_000_000
    assert hearing.first_tone_ns(2000, 0) is None
    assert hearing.first_tone_ns(1000, 10 * round(NANOSECONDS)) is None


def test_a_recording_is_known_again_among_other_sounds() -> None:
    """Exactly in the middle of others it is 1; where it is not it is low; nothing is like nothing."""
    import numpy as np

    dice = np.random.default_rng(1)
    said, other = dice.normal(0, 1000, 8000), dice.normal(0, 1000, 8000)
    assert likeness(np.concatenate([other, said, tone(500, 0.5)]), said) == pytest.approx(1.0, abs=1e-6)
    assert likeness(np.concatenate([other, other]), said) < 0.2
    assert likeness(silence(2.0), said) == 0.0
    assert likeness(said[:100], said) == 0.0
    assert likeness(said, silence(1.0)) == 0.0


# --- queue.order ---

EMERGENCY = Kind(line="999", emergency=True, priority_class="standard", head_start_seconds=0.0)
STANDARD = Kind(line="101", emergency=False, priority_class="standard", head_start_seconds=0.0)
VULNERABLE = Kind(line="1017", emergency=False, priority_class="vulnerable", head_start_seconds=1.0)
JOINED = (
    Joined(who="a", kind=STANDARD, at=0.0),
    Joined(who="b", kind=STANDARD, at=1.0),
    Joined(who="c", kind=VULNERABLE, at=1.5),
    Joined(who="d", kind=EMERGENCY, at=2.0),
    Joined(who="e", kind=STANDARD, at=2.5),
    Joined(who="f", kind=EMERGENCY, at=3.0),
)
RIGHT = ("d", "f", "a", "c", "b", "e")


def served(*order: str, **more: int) -> Sheet:
    """What the probe says of an order of service."""
    sheet = sheet_of(queue_order.PROBE)
    counts = {"repeated": 0, "by_switch": 0, "lost": 0, **more}
    queue_order.judge(sheet, queue_order.Service(joined=JOINED, served=order, **counts))
    return sheet


def test_the_oracle_puts_999_first_and_head_starts_before_their_time() -> None:
    """c joined at 1.5 with a head start of 1 s: before b, who joined at 1.0, and behind a."""
    assert tuple(caller.who for caller in expected(JOINED)) == RIGHT


def test_the_right_order_passes() -> None:
    """No place error."""
    assert served(*RIGHT).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("order", "errors"),
    [
        (("a", "d", "f", "c", "b", "e"), 1),
        (("f", "d", "a", "c", "b", "e"), 1),
        (("d", "f", "a", "b", "c", "e"), 1),
        (("d", "f", "e", "b", "c", "a"), 3),
    ],
)
def test_who_came_too_early_is_counted(order: tuple[str, ...], errors: int) -> None:
    """Each once, and the daemon is blamed."""
    sheet = served(*order)
    assert sheet.figures[0].value == errors
    assert found(sheet) == [(queue_order.OVERTAKEN, Layer.DAEMON, Verdict.FAIL)]


def test_two_who_joined_together_may_come_in_either_order() -> None:
    """Nearer to each other than the wire can tell."""
    near = (JOINED[0], Joined(who="x", kind=STANDARD, at=0.04), Joined(who="y", kind=STANDARD, at=0.2))
    assert overtaken(near, ["x", "a", "y"], 0.05) == []
    assert [(early.who, passed.who) for early, passed in overtaken(near, ["y", "a", "x"], 0.05)] == [
        ("y", "a")
    ]


def test_who_is_left_waiting_is_a_failure_and_was_passed() -> None:
    """The first of all was never served: everybody behind passed them."""
    codes = [code for code, _, _ in found(served("d", "f", "c", "b", "e"))]
    assert codes == [queue_order.OVERTAKEN, queue_order.LEFT]
    assert [code for code, _, _ in found(served(*RIGHT[:4]))] == [queue_order.LEFT]


def test_of_nobody_no_order_is_measured() -> None:
    """It is undefined, and that callers were left is a failure all the same."""
    sheet = served()
    assert sheet.figures[0].verdict is Verdict.NOT_MEASURED
    assert [code for code, _, _ in found(sheet)] == [queue_order.LEFT]


def test_the_switchs_own_queue_is_named() -> None:
    """The order may be right by chance."""
    assert found(served(*RIGHT, by_switch=6)) == [(queue_order.FALLBACK, Layer.DAEMON, Verdict.FAIL)]


def test_sorts_of_callers_come_from_the_configuration() -> None:
    """A line for each tier and class; none with a menu, hours, a test phone, or skills that the agent lacks."""
    document = {
        "class": {"vulnerable": {"head_start_seconds": 60.0}},
        "queue": {
            "101": {"skills": ["101"]},
            "999": {"skills": ["999"]},
            "welsh": {"skills": ["101", "welsh"]},
            "closing": {"skills": ["101"], "hours": "office"},
        },
        "line": {
            "101": {"tier": "101", "queue": "101", "greeting": "greeting-101"},
            "101-no-greeting": {"tier": "101", "queue": "101"},
            "menu": {"tier": "101", "queue": "101", "class": "a", "menu": {}},
            "closing": {"tier": "101", "queue": "closing", "class": "b"},
            "welsh": {"tier": "101", "queue": "welsh", "class": "c"},
            "vulnerable": {"tier": "101", "queue": "101", "class": "vulnerable"},
            "999": {"tier": "999", "queue": "999"},
            "999-test": {"tier": "999", "queue": "999", "test_phone": "test1"},
        },
    }
    kinds = kinds_of(document, ["101", "999"])
    assert [(kind.line, kind.head_start_seconds) for kind in kinds] == [
        ("999", 0.0),
        ("101_no_greeting", 0.0),
        ("vulnerable", 60.0),
    ]


# --- queue.dispatch ---


def dispatched(*ours: float, plain: tuple[float, ...] = (400.0, 900.0)) -> Sheet:
    """What the probe says of these latencies."""
    sheet = sheet_of(queue_dispatch.PROBE)
    queue_dispatch.judge_dispatch(
        sheet,
        queue_dispatch.Dispatched(ours=ours, plain=plain, wrap_up_seconds=5.0, faults=["block 1: lost"]),
    )
    return sheet


def test_dispatch_is_judged_by_its_tail_and_shown_beside_app_queue() -> None:
    """p95, a ratio of medians, and doubts as notes."""
    good = dispatched(*[10.0] * 20)
    assert good.verdict is Verdict.PASS
    assert {figure.name: figure.value for figure in good.figures}["times_faster"] == 65.0
    assert good.notes == ["Doubtful: block 1: lost."]
    assert found(dispatched(*[10.0] * 15, *[120.0] * 5)) == [
        (queue_dispatch.SLOW, Layer.DAEMON, Verdict.WARN)
    ]
    assert found(dispatched(*[300.0] * 20)) == [(queue_dispatch.SLOW, Layer.DAEMON, Verdict.FAIL)]


def test_without_samples_nothing_is_measured() -> None:
    """And no ratio is made up."""
    sheet = dispatched(plain=())
    assert sheet.verdict is Verdict.NOT_MEASURED
    assert {figure.name: figure.value for figure in sheet.figures}["times_faster"] is None


def test_one_who_hears_nothing_is_the_switchs_fault_and_no_sample() -> None:
    """The other calls are measured all the same."""
    sheet = sheet_of(queue_dispatch.PROBE)
    joins = queue_dispatch.Joins(heard_by_caller=[20.0, None, 30.0], heard_by_agent=[40.0, 20.0, 25.0])
    queue_dispatch.judge_joins(sheet, joins)
    assert joins.both == [40.0, 30.0]
    assert found(sheet) == [(queue_dispatch.DEAF, Layer.SWITCH, Verdict.FAIL)]
    late = sheet_of(queue_dispatch.PROBE)
    queue_dispatch.judge_joins(late, replace(joins, heard_by_caller=[1500.0] * 3, heard_by_agent=[20.0] * 3))
    assert found(late) == [(queue_dispatch.LATE, Layer.DAEMON, Verdict.FAIL)]


# --- queue.noanswer ---

RETRIED = queue_noanswer.Trial(fate=queue_noanswer.REJECTS, next_rung=0.01, kept=True)
RUNG_OUT = queue_noanswer.Trial(
    fate=queue_noanswer.RINGS_OUT, next_rung=0.01, rang=15.0, wanted_ring=15.0, kept=True
)


def retried(*trials: queue_noanswer.Trial, kept: bool | None = True) -> Sheet:
    """What the probe says of these trials."""
    sheet = sheet_of(queue_noanswer.PROBE)
    queue_noanswer.judge(sheet, trials, kept_in_front=kept)
    return sheet


def test_phones_that_do_not_answer_cost_nothing() -> None:
    """The next is rung at once, for the same caller, who keeps the place."""
    assert retried(RETRIED, RUNG_OUT).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"next_rung": 2.5}, queue_noanswer.SLOW),
        ({"next_rung": None}, queue_noanswer.STUCK),
        ({"kept": False}, queue_noanswer.LOST),
        ({"rang": 4.0}, queue_noanswer.RING_TIME),
    ],
)
def test_each_way_to_lose_a_caller_is_found(change: dict[str, object], code: str) -> None:
    """One fault, one finding, and the daemon is blamed."""
    sheet = retried(RETRIED, replace(RUNG_OUT, **change))  # type: ignore[arg-type]
    assert found(sheet) == [(code, Layer.DAEMON, Verdict.FAIL)]


def test_a_lost_place_is_found_and_an_unseen_one_is_not_measured() -> None:
    """Nobody rung: nothing is known of the place."""
    assert found(retried(RETRIED, kept=False)) == [(queue_noanswer.PLACE, Layer.DAEMON, Verdict.FAIL)]
    assert retried(RETRIED, kept=None).verdict is Verdict.NOT_MEASURED


def test_times_come_from_the_configuration() -> None:
    """And where it says nothing, from what the daemon takes: 4 s where a 999 line leads to the queue."""
    document: dict[str, Any] = {
        "line": {"101-no-greeting": {"queue": "all", "tier": "101"}},
        "queue": {"all": {}},
    }
    assert queue_noanswer.ring_seconds(document) == 15.0
    assert queue_noanswer.unreachable_seconds(document) == 3.0
    document["line"]["999"] = {"queue": "all", "tier": "999"}
    assert queue_noanswer.ring_seconds(document) == 4.0
    document["queue"]["all"] = {"offer_seconds": 7.0}
    assert queue_noanswer.ring_seconds(document) == 7.0


# --- queue.abandon ---

WAITED = queue_abandon.Trial(where=queue_abandon.WAITING, waited=2.5)
RANG = queue_abandon.Trial(where=queue_abandon.AGENT, waited=0.6, stopped=9.0, rang=True)
RIGHTLY = (
    queue_abandon.Written(outcome="abandoned", waited=2.498),
    queue_abandon.Written(outcome="abandoned", waited=0.602),
)


def abandoned(
    rang: queue_abandon.Trial = RANG,
    written: tuple[queue_abandon.Written, queue_abandon.Written] | None = RIGHTLY,
) -> Sheet:
    """What the probe says of one who waited and one who heard ringing."""
    sheet = sheet_of(queue_abandon.PROBE)
    queue_abandon.judge(sheet, (WAITED, rang), written)
    return sheet


def test_who_gives_up_is_written_down() -> None:
    """The phone stops at once, and the wait is right."""
    assert abandoned().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stopped": 800.0}, queue_abandon.SLOW),
        ({"stopped": None}, queue_abandon.RINGS_ON),
        ({"stopped": None, "rang": False}, queue_abandon.UNRUNG),
    ],
)
def test_a_phone_that_rings_on_is_the_daemons(change: dict[str, object], code: str) -> None:
    """Late, not at all, or never rung."""
    assert (code, Layer.DAEMON, Verdict.FAIL) in found(abandoned(replace(RANG, **change)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (queue_abandon.Written(outcome=None, waited=None), queue_abandon.UNLOGGED),
        (queue_abandon.Written(outcome="answered", waited=0.6), queue_abandon.MISLOGGED),
        (queue_abandon.Written(outcome="abandoned", waited=0.8), queue_abandon.WAIT),
    ],
)
def test_a_wrong_record_is_the_records(second: queue_abandon.Written, code: str) -> None:
    """Missing, wrong, or a wrong wait."""
    assert found(abandoned(written=(RIGHTLY[0], second))) == [(code, Layer.RECORD, Verdict.FAIL)]


def test_without_a_record_its_part_is_not_measured() -> None:
    """The rest is shown, and the probe has not passed."""
    sheet = abandoned(written=None)
    assert sheet.verdict is Verdict.NOT_MEASURED
    assert sheet.findings == []


class Ledger:
    """A record that holds these facts."""

    def __init__(self, *facts: Fact) -> None:
        self._entries = entries_of([(float(place), fact) for place, fact in enumerate(facts)], first=1)

    def last_sequence(self) -> int:
        """Of the newest fact before the test."""
        return 0

    def read(self, after: int) -> list[Entry]:
        """Those after it."""
        return [entry for entry in self._entries if entry.sequence > after]


def call_of(name: str, number: str | None, waited: float) -> tuple[Fact, Fact]:
    """A call that came and was given up."""
    return (
        CallArrived(
            call_id=name,
            leg_id=name,
            line="queue",
            number_withheld=number is None,
            adopted=False,
            caller_number=number,
        ),
        CallHasEnded(
            call_id=name,
            outcome=CallOutcome.ABANDONED,
            stage=Stage.QUEUE,
            side=Side.CALLER,
            cause="16",
            waited_seconds=waited,
            talked_seconds=0.0,
            agent=None,
        ),
    )


async def recorded(target: Target, *facts: Fact) -> list[queue_abandon.Written]:
    """What is found of one trial."""
    trials, written = list[queue_abandon.Trial](), list[queue_abandon.Written]()
    recorder = queue_abandon.Recorder(Ledger(*facts))  # type: ignore[arg-type]
    await recorder.take((queue_abandon.sender(target), WAITED), trials, written)
    return written


async def test_a_call_is_found_by_the_number_that_was_sent() -> None:
    """And not mixed up with another's."""
    facts = (*call_of("theirs", None, 9.0), *call_of("ours", "+447700900123", 2.5))
    assert [one.waited for one in await recorded(LIVE, *facts)] == [2.5]


async def test_the_call_of_a_phone_of_the_switch_has_the_number_that_the_switch_gives_it() -> None:
    """It is the only call that came; with others beside it nothing is said."""
    target = replace(LIVE, caller_phone="caller")
    assert [one.waited for one in await recorded(target, *call_of("ours", "5001", 2.5))] == [2.5]
    with pytest.raises(NotMeasuredError, match="other calls"):
        await recorded(target, *call_of("theirs", None, 9.0), *call_of("ours", "5001", 2.5))


# --- queue.callback ---


def called_back(**change: object) -> Sheet:
    """What the probe says of a call-back that was kept, but for this."""
    story = queue_callback.Story(
        promised=True,
        first_for_them=True,
        attempts=[12.0, 15.0, 11.0],
        again_after=[5.0, 5.1],
        spacing=5.0,
        dialled_right=True,
        person_hears=True,
        agent_hears=True,
        outcome="answered",
    )
    sheet = sheet_of(queue_callback.PROBE)
    queue_callback.judge(sheet, replace(story, **change))  # type: ignore[arg-type]
    return sheet


def test_a_call_back_that_is_kept_passes() -> None:
    """Every branch of it."""
    assert called_back().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "code", "layer"),
    [
        ({"first_for_them": False}, queue_callback.PLACE, Layer.DAEMON),
        ({"attempts": [12.0, 900.0]}, queue_callback.SLOW, Layer.DAEMON),
        ({"again_after": [1.0, 5.0]}, queue_callback.HASTY, Layer.DAEMON),
        ({"at_once": 2}, queue_callback.TWICE, Layer.DAEMON),
        ({"dialled_right": False}, queue_callback.WRONG_NUMBER, Layer.DAEMON),
        ({"shown": "101"}, queue_callback.WRONG_CLI, Layer.TRUNK),
        ({"person_hears": False}, queue_callback.DEAF, Layer.SWITCH),
        ({"outcome": None}, queue_callback.MISLOGGED, Layer.RECORD),
        ({"stuck": "the next attempt"}, queue_callback.STUCK, Layer.DAEMON),
    ],
)
def test_each_fault_of_a_call_back_has_its_layer(change: dict[str, object], code: str, layer: Layer) -> None:
    """One fault, one finding."""
    assert found(called_back(**change)) == [(code, layer, Verdict.FAIL)]


def test_a_call_back_that_was_not_promised_is_found_and_its_place_not_measured() -> None:
    """It came no further: nothing is made up of what would have been."""
    sheet = called_back(
        promised=False, first_for_them=None, attempts=[], stuck="the promise", outcome=None, agent_hears=None
    )
    assert found(sheet) == [(queue_callback.UNPROMISED, Layer.DAEMON, Verdict.FAIL)]
    assert {figure.verdict for figure in sheet.figures} == {Verdict.NOT_MEASURED, None}


# --- queue.overflow ---

TOLD_FULL = queue_overflow.TurnedAway(why="full", answered=True, likeness=0.99, let_go=True)
TOLD_CLOSED = queue_overflow.TurnedAway(why="closed", answered=True, likeness=0.99, let_go=True)
STAYS = queue_overflow.KeptWaiting(why=queue_overflow.NOBODY, lasted=True, dead_air=0.5)
SERVED = queue_overflow.KeptWaiting(why=queue_overflow.LOST, lasted=True, dead_air=0.9, served_after=True)


def overflowed(
    closed: queue_overflow.TurnedAway = TOLD_CLOSED, lost: queue_overflow.KeptWaiting = SERVED
) -> Sheet:
    """What the probe says of four callers."""
    sheet = sheet_of(queue_overflow.PROBE)
    queue_overflow.judge(sheet, (TOLD_FULL, closed), (STAYS, lost))
    return sheet


def test_who_cannot_be_served_is_told_so() -> None:
    """Two messages heard, two callers kept waiting in music."""
    assert overflowed().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "code", "layer"),
    [
        ({"likeness": 0.1}, queue_overflow.UNSAID, Layer.DAEMON),
        ({"let_go": False}, queue_overflow.TAKEN, Layer.DAEMON),
        ({"answered": False}, queue_overflow.DROPPED, Layer.SWITCH),
    ],
)
def test_each_way_to_turn_somebody_away_wrongly_is_found(
    change: dict[str, object], code: str, layer: Layer
) -> None:
    """No message, no end, or an end without a word."""
    assert found(overflowed(replace(TOLD_CLOSED, **change))) == [(code, layer, Verdict.FAIL)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "code", "layer"),
    [
        ({"dead_air": 5.0}, queue_overflow.DEAD_AIR, Layer.DAEMON),
        ({"lasted": False}, queue_overflow.DROPPED, Layer.SWITCH),
        ({"served_after": False}, queue_overflow.FORGOTTEN, Layer.DAEMON),
    ],
)
def test_each_way_to_lose_who_waits_is_found(change: dict[str, object], code: str, layer: Layer) -> None:
    """Silence, a cut, or nobody who comes back to them."""
    assert found(overflowed(lost=replace(SERVED, **change))) == [(code, layer, Verdict.FAIL)]  # type: ignore[arg-type]


def test_a_queue_is_closed_only_where_its_hours_say_so_beyond_doubt() -> None:
    """Not in the minutes around a change, nor by a timetable with dates or nights."""
    monday = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/London"))

    def closed(text: str, **more: object) -> bool:
        return queue_overflow.is_surely_closed({"week": {"mon": text}, **more}, monday)

    assert closed("closed")
    assert closed("03:17-03:18")
    assert closed("09:00-11:50, 13:00-17:00")
    assert not closed("09:00-11:57, 13:00-17:00")
    assert not closed("07:00-22:00")
    assert not closed("22:00-02:00")
    assert not closed("closed", days={"2026-11-23": "07:00-16:00"})


def test_lines_to_try_come_from_the_configuration() -> None:
    """The policy that comes with it has both; a queue that sends callers elsewhere, or is large, is not used."""
    document = read_policy(QUEUES)
    noon = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/London"))
    assert queue_overflow.full_line(document) == "full"
    assert queue_overflow.closed_line(document, noon) == "closed"
    assert queue_overflow.message_of(document, "full", "full") == "full"
    document["queue"]["full"]["overflow_queue"] = "101"
    document["queue"]["closed"]["limit"] = 500
    assert queue_overflow.full_line(document) is None
    assert queue_overflow.full_line({}) is None
