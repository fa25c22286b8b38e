"""The books of a soak: a call that is missing, dropped or doubled is found, and one that nobody could see is not blamed."""

from __future__ import annotations

from typing import Any

import pytest

from edge.core.facts import CallArrived, CallEnded, DaemonStarted, Entry, Fact, SwitchLost, SwitchRestored
from edge.core.model import CallOutcome, ClockState, Instant, Side, Stage
from hwtest.soak.account import NANOSECONDS, WireCall, balance, blind_intervals
from hwtest.soak.run import SETTLING_CALLS, Sample, grown, grown_lives, grown_switch

NUMBER = "07700900001"


def seconds(value: float) -> int:
    return round(value * NANOSECONDS)


def entries(*given: tuple[float, Fact]) -> list[Entry]:
    return [
        Entry(
            sequence=number,
            at=Instant(monotonic_ns=seconds(at), utc_us=0),
            clock=ClockState.SYNCHRONISED,
            fact=fact,
            reason="",
        )
        for number, (at, fact) in enumerate(given, 1)
    ]


def arrived(call_id: str = "c1", number: str = NUMBER) -> CallArrived:
    return CallArrived(
        call_id=call_id,
        leg_id="1",
        line="101",
        number_withheld=False,
        adopted=False,
        caller_number=number,
        caller_name=None,
    )


def over(call_id: str = "c1") -> CallEnded:
    return CallEnded(
        call_id=call_id,
        outcome=CallOutcome.ANSWERED,
        stage=Stage.TALKING,
        side=Side.AGENT,
        cause="",
        waited_seconds=0.0,
        talked_seconds=1.0,
        agent="4001",
    )


def call(begun: float = 10.0, **more: Any) -> WireCall:
    given: dict[str, Any] = {
        "number": NUMBER,
        "begun_ns": seconds(begun),
        "over_ns": seconds(begun + 2),
        "emergency": False,
        "answered": True,
        "ended": True,
        "gave_up": False,
        "left": False,
    }
    return WireCall(**(given | more))


LOST, SEEN = (
    SwitchLost(link="asterisk", error=""),
    SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0),
)
STARTED = DaemonStarted(version="", policy_digest="", boot_id="")


def test_a_call_on_both_sides_balances() -> None:
    account = balance([call()], entries((10, arrived()), (12, over())), [], 0)
    assert (account.faults, dict(account.became)) == ([], {"answered": 1})


@pytest.mark.parametrize(
    ("wire", "ledger", "fault"),
    [
        (call(ended=False), [(10, arrived()), (12, over())], "no end on the wire"),
        (call(answered=False), [(10, arrived()), (12, over())], "dropped"),
        (call(emergency=True, answered=False), [(10, arrived()), (12, over())], "a 999 that nobody answered"),
        (
            call(emergency=True, answered=False, gave_up=True),
            [(10, arrived()), (12, over())],
            "a 999 that nobody answered",
        ),
        (call(left=True), [(10, arrived()), (12, over())], "left on the line"),
        (
            call(),
            [(10, arrived()), (11, arrived("c2")), (12, over()), (12, over("c2"))],
            "2 calls in the ledger",
        ),
        (call(), [(10, arrived())], "no end in the ledger"),
        (call(), [], "in sight, and not in the ledger (it lasted 2.00 s"),
    ],
)
def test_what_does_not_balance_is_named(wire: WireCall, ledger: list[tuple[float, Fact]], fault: str) -> None:
    [found] = balance([wire], entries(*ledger), [], 0).faults
    assert fault in found
    assert NUMBER not in found


def test_who_is_impatient_may_give_up() -> None:
    """A routine call is no fault, and stands as what it is."""
    account = balance([call(answered=False, gave_up=True)], entries((10, arrived()), (12, over())), [], 0)
    assert (account.faults, dict(account.became)) == ([], {"gave up": 1})


def test_a_call_while_nobody_looked_is_not_blamed() -> None:
    """Nor is one that came a moment before the daemon died."""
    blind = blind_intervals(entries((1, STARTED), (2, SEEN), (9, LOST), (11, SEEN)), seconds(20))
    assert blind == [(seconds(1), seconds(2)), (seconds(9), seconds(11))]
    assert balance([call(10.0)], [], blind, 0).faults == []
    assert balance([call(8.9)], [], blind, seconds(0.3)).faults == []
    assert balance([call(8.5)], [], blind, seconds(0.3)).faults != []


def test_a_daemon_that_was_killed_is_blind_from_its_last_word() -> None:
    """Its end is no fact: the last that it wrote is all that is known."""
    ledger = entries((1, STARTED), (2, SEEN), (5, arrived()), (8, STARTED))
    assert blind_intervals(ledger, seconds(20)) == [(seconds(1), seconds(2)), (seconds(5), seconds(20))]


def test_what_grows_is_named_by_process() -> None:
    """Compared with shortly after the start; each life of the daemon by itself."""
    calm = [Sample(5.0 * n, 1, 50, 10, 90.0) for n in range(5)]
    leaking = [Sample(5.0 * n, 2, 50 + 20 * n, 10 + 5 * n, 90.0 + 30 * n) for n in range(5)]
    assert grown(calm, "edge run") == []
    assert len(grown(leaking, "edge run")) == 3
    assert grown_lives([*calm, *leaking]) == grown(leaking, "edge run")


def test_a_daemon_that_imports_for_long_is_no_leak() -> None:
    """On a busy machine its first samples are of one thread with no connection; it is judged from when it serves."""
    importing = [Sample(5.0 * n, 3, 3, 1, 60.0) for n in range(3)]
    serving = [Sample(5.0 * n, 3, 30, 6, 85.0) for n in range(3, 8)]
    assert grown_lives([*importing, *serving]) == []
    assert grown_lives([*importing, *serving, Sample(40.0, 3, 80, 6, 85.0)]) != []


def test_a_leak_of_the_switch_shows_once_it_has_settled() -> None:
    """What it takes for the first calls is none; a minute's soak never gets beyond them."""
    warming = [Sample(5.0 * n, 1, 50, 10, 80.0 + 10 * min(n, 5)) for n in range(12)]
    leaking = [Sample(5.0 * n, 1, 50, 10, 80.0 + 5 * n) for n in range(12)]
    assert grown_switch(warming, 2 * SETTLING_CALLS) == []
    assert grown_switch(leaking, 2 * SETTLING_CALLS) == ["Asterisk: 15 MB more than at first"]
    assert grown_switch(leaking, SETTLING_CALLS) == []
