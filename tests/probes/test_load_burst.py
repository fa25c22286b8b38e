"""load.burst: a hundred calls in, verdict and blame out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hwtest.capture import Record
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.load_burst import (
    PROBE,
    SAME_MOMENT_NS,
    Burst,
    Decision,
    _refuse_what_cannot_be,
    judge,
    out_of_turn,
)
from hwtest.probes.sheet import Sheet
from hwtest.sipp.counters import Counters
from hwtest.sipp.sessions import sessions
from hwtest.sipp.traffic import Outcome
from tests.sipp.made import CALLER, MS, call, record

AGENT = 40100
WELL = Outcome(
    counters=Counters(
        created=100, successful=100, failed=0, in_progress=0, retransmissions=0, stray=0, watchdog=0, fatal_errors=0,
        failures={},
    ),
    exit_status=0, timed_out=False, asked=100,
)  # fmt: skip


def number(place: int) -> str:
    """Of the caller at this place."""
    return f"07700900{place:03}"


def arrival(place: int, status: str | None = "200", spacing_ms: float = 10) -> list[Record]:
    """A caller's call."""
    return [replace(one, from_user=number(place)) for one in call(f"c{place}", status, spacing_ms * place)]


def rung(place: int, at_ms: float) -> Record:
    """An agent's phone is rung for a caller."""
    invite = record(f"a{place}-{at_ms}", "INVITE", at_ms)
    return replace(
        invite, source_port=5060, destination_port=AGENT, from_user=number(place), edge_call=f"edge{place}"
    )


def judged(
    order: Sequence[int],
    *,
    callers: int = 100,
    failed: dict[int, str | None] | None = None,
    decided: Sequence[int] | None = None,
    spacing_ms: float = 10,
    left: int = 0,
) -> list[tuple[str, Verdict, Layer]]:
    """What is found when agents' phones ring in this order, one each 50 ms."""
    statuses = failed or {}
    records = [
        one for place in range(callers) for one in arrival(place, statuses.get(place, "200"), spacing_ms)
    ]
    records += [rung(place, 2000 + 50 * turn) for turn, place in enumerate(order)]
    by_record = {
        f"edge{place}": Decision(joined_ns=10 * MS * place, offered=turn)
        for turn, place in enumerate(order if decided is None else decided)
    }
    sheet = Sheet(PROBE)
    judge(sheet, Burst(sessions(records, {CALLER}), records, {AGENT}, WELL, by_record, left))
    return [(one.code.rpartition(".")[2], one.verdict, one.layer) for one in sheet.findings]


def test_a_good_burst() -> None:
    """Nothing is found."""
    assert judged(range(100)) == []


def test_a_call_that_was_refused() -> None:
    """One is one too many; it is the switch when it was busy, the dialplan when it did not want to."""
    order = [place for place in range(100) if place != 7]
    assert judged(order, failed={7: "503"}) == [("ineffective", Verdict.FAIL, Layer.SWITCH)]
    assert judged(order, failed={7: None}) == [("ineffective", Verdict.FAIL, Layer.SWITCH)]
    assert judged(order, failed={7: "488"}) == [("audio", Verdict.FAIL, Layer.SWITCH)]
    assert judged(order, failed={7: "404"}) == [("refused", Verdict.FAIL, Layer.DIALPLAN)]
    assert judged(order, failed={7: "302"}) == [("refused", Verdict.FAIL, Layer.DIALPLAN)]


def test_somebody_was_forgotten() -> None:
    """They were answered and no agent was rung for them."""
    assert judged(range(99)) == [("unserved", Verdict.FAIL, Layer.DAEMON)]


def test_no_audio_ports_for_agents_either() -> None:
    """Who waits in vain then is not blamed on the daemon."""
    assert judged(range(10), failed={99: "488"}) == [("audio", Verdict.FAIL, Layer.SWITCH)]


def test_the_switch_served_by_itself() -> None:
    """A warning; order is then the switch's, and not judged."""
    records = [one for place in range(100) for one in arrival(place)]
    rings = [
        replace(rung(place, 2000 + 50 * turn), edge_call=None) for turn, place in enumerate(range(99, -1, -1))
    ]
    sheet = Sheet(PROBE)
    judge(sheet, Burst(sessions(records, {CALLER}), records + rings, {AGENT}, WELL, {}, 0))
    assert [(one.code, one.verdict, one.layer) for one in sheet.findings] == [
        ("load.burst.fallback", Verdict.WARN, Layer.DAEMON)
    ]


def test_last_in_first_out() -> None:
    """By the wire and by the daemon's own record."""
    assert judged(range(99, -1, -1)) == [("order", Verdict.FAIL, Layer.DAEMON)] * 2


def test_one_who_was_overtaken() -> None:
    """By callers who came clearly later; that those rang first by more than a second is seen on the wire, too."""
    order = [place for place in range(100) if place != 10] + [10]
    assert judged(order) == [("order", Verdict.FAIL, Layer.DAEMON)] * 2


def test_a_slow_phone_is_no_place_error() -> None:
    """Decided in turn, and only the request to one phone was long on its way. Decided so, it is one."""
    order = [*range(10), *range(11, 20), 10, *range(20, 100)]
    assert judged(order, decided=range(100)) == []
    assert judged(order) == [("order", Verdict.FAIL, Layer.DAEMON)]


def test_callers_of_the_same_moment() -> None:
    """May join in either order, as the record says; nobody could tell from outside."""
    order = [1, 0, 3, 2, *range(4, 100)]
    assert judged(order, decided=range(100)) == []


@pytest.mark.parametrize(("later_ns", "wrong"), [(SAME_MOMENT_NS, []), (SAME_MOMENT_NS + 1, [(1, 2)])])
def test_what_is_clearly_later(later_ns: int, wrong: list[tuple[int, int]]) -> None:
    """More than a quarter of a second."""
    found = out_of_turn([("a", 0), ("b", later_ns)], {"a": 2, "b": 1}, 0)
    assert [(one.place, one.by) for one in found] == wrong


def test_no_burst() -> None:
    """Calls that took two seconds to place are the meter's fault, a warning."""
    assert judged(range(100), spacing_ms=20) == [("meter", Verdict.WARN, Layer.METER)]


def test_a_burst_that_was_not_offered() -> None:
    """Cannot pass, however well it went."""
    with pytest.raises(NotMeasuredError, match="99 of 100 calls"):
        judged(range(99), callers=99)


def test_calls_that_stay() -> None:
    """One is a leak."""
    assert judged(range(100), left=1) == [("left", Verdict.FAIL, Layer.SWITCH)]


def test_an_answer_after_two_seconds() -> None:
    """Is slow: a warning."""
    records = [one for place in range(100) for one in arrival(place)]
    late = [replace(one, stamp_ns=one.stamp_ns + 2000 * MS) if one.label == "200" else one for one in records]
    rings = [rung(place, 4000 + 50 * place) for place in range(100)]
    sheet = Sheet(PROBE)
    burst = Burst(sessions(late, {CALLER}), late + rings, {AGENT}, WELL, None, 0)
    judge(sheet, burst)
    assert [one.code for one in sheet.findings] == ["load.burst.slow"]


def test_agents_who_wrap_up_too_long_are_no_fault_of_the_daemon() -> None:
    """What no switch could do is not measured, with the lab that could; what can be done is."""
    with pytest.raises(NotMeasuredError) as refused:
        _refuse_what_cannot_be(4, 5.0)
    assert "need 138 s for 100 callers" in refused.value.reason and "--wrap-up 0" in (
        refused.value.mend or ""
    )
    _refuse_what_cannot_be(4, 0.0)
