"""Latencies read off a wire made by hand. Port 1 is the switch, 2 a caller's, 3 and 4 agents' phones, 5 persons'."""

from dataclasses import replace

import pytest

from hwtest.bench.readings import (
    Reach,
    answer_latencies,
    arrivals,
    callback_latencies,
    dispatch_latencies,
    joined_latencies,
    longest_without,
    offer_latencies,
    overtaken,
    person_latencies,
    services,
    stray_offers,
)
from hwtest.capture import Record

CALLERS, AGENTS, PEOPLE = {2}, {3, 4}, {5}


def message(
    milliseconds: float, source: int, destination: int, label: str, call_id: str, **more: object
) -> Record:
    """A record; `method` is the label's own unless it answers an INVITE."""
    method = "INVITE" if label.isdigit() else label
    record = Record(round(milliseconds * 1e6), source, destination, label, method, 1, call_id, "b", False, "")
    return replace(record, **more)  # type: ignore[arg-type]


def test_dispatch() -> None:
    """A phone's own BYE starts its clock, the next INVITE to the same phone stops it."""
    wire = [
        message(0, 3, 1, "BYE", "a"),
        message(5, 1, 4, "INVITE", "b"),
        message(7, 1, 3, "INVITE", "c"),
        message(9, 1, 3, "INVITE", "d"),
    ]
    assert dispatch_latencies(wire, AGENTS) == [7.0]


def test_dispatch_after_the_caller_hung_up() -> None:
    """A BYE that the switch sent is no hang-up by the agent."""
    wire = [message(0, 1, 3, "BYE", "a"), message(7, 1, 3, "INVITE", "b")]
    assert dispatch_latencies(wire, AGENTS) == []


def test_retransmission_resets_nothing() -> None:
    """The first transmission counts (RFC 6076 §3), and a hold inside a dialog is no offer."""
    wire = [
        message(0, 3, 1, "BYE", "a"),
        message(500, 3, 1, "BYE", "a"),
        message(600, 1, 3, "INVITE", "h", in_dialog=True),
        message(700, 1, 3, "INVITE", "b"),
        message(1200, 1, 3, "INVITE", "b"),
    ]
    assert dispatch_latencies(wire, AGENTS) == [700.0]


def test_records_out_of_order() -> None:
    """Records are taken in the order of their stamps."""
    wire = [message(7, 1, 3, "INVITE", "b"), message(0, 3, 1, "BYE", "a")]
    assert dispatch_latencies(wire, AGENTS) == [7.0]


def test_idle_agent() -> None:
    """Each caller's INVITE is measured to the one that rings, and to its own 200."""
    wire = [
        message(0, 2, 1, "INVITE", "a"),
        message(2, 1, 2, "200", "a"),
        message(5, 1, 3, "INVITE", "x"),
        message(6, 3, 1, "200", "x"),
        message(100, 2, 1, "INVITE", "b"),
        message(103, 1, 2, "200", "b"),
        message(104, 1, 2, "200", "b", method="BYE"),
    ]
    assert offer_latencies(wire, CALLERS, AGENTS) == [5.0]
    assert answer_latencies(wire, CALLERS) == [2.0, 3.0]


def test_strays() -> None:
    """Only our INVITEs carry our call id: the other system's are strays in our block, and ours in its."""
    wire = [message(0, 1, 3, "INVITE", "a", edge_call="e"), message(1, 1, 4, "INVITE", "b")]
    assert stray_offers(wire, AGENTS, ours=True) == 1
    assert stray_offers(wire, AGENTS, ours=False) == 1
    assert stray_offers(wire[:1], AGENTS, ours=True) == 0


def called_back(start: float, agent: int, number: str, person_ms: float) -> list[Record]:
    """An agent hangs up, is rung for a call-back, answers; the person is rung so long after that, and answers."""
    leg, far = f"leg-{number}", f"far-{number}"
    return [
        message(start, agent, 1, "BYE", f"before-{number}"),
        message(start + 6, 1, agent, "INVITE", leg, edge_callback=True, edge_call="e", from_user=number),
        message(start + 20, agent, 1, "200", leg),
        message(start + 20 + person_ms, 1, 5, "INVITE", far, from_user="01632960900", to_user=number),
        message(start + 40 + person_ms, 5, 1, "200", far),
    ]


ONE, OTHER = "07700900001", "07700900002"


def test_call_backs() -> None:
    """Both legs of two at a time, told apart by the number; a live caller's INVITE is none of them."""
    live = [message(100, 3, 1, "BYE", "x"), message(109, 1, 3, "INVITE", "y", from_user="07700900003")]
    wire = sorted(
        [*called_back(0, 3, ONE, 12), *called_back(5, 4, OTHER, 1), *live], key=lambda record: record.stamp_ns
    )
    assert callback_latencies(wire, AGENTS) == [6.0, 6.0]
    assert sorted(person_latencies(wire, AGENTS, PEOPLE)) == [1.0, 12.0]
    assert dispatch_latencies(wire, AGENTS) == [6.0, 6.0, 9.0]


def test_a_person_who_is_joined() -> None:
    """From their own 200, by number; one whom the ledger never joined gives nothing."""
    wire = [*called_back(0, 3, ONE, 12), *called_back(200, 4, OTHER, 1)]
    assert joined_latencies(wire, PEOPLE, {ONE[-9:]: 60_000_000}) == [-12.0 + 20.0]


def test_a_person_who_is_never_rung_gives_no_figure() -> None:
    """And the next with another number is not mistaken for them."""
    wire = [*called_back(0, 3, ONE, 12)[:3], *called_back(50, 3, OTHER, 2)]
    assert person_latencies(wire, AGENTS, PEOPLE) == [2.0]


def test_who_joined_and_who_was_served() -> None:
    """Callers by their INVITE, services by the agent's; in whatever form the number is written."""
    wire = [
        message(0, 2, 1, "INVITE", "a", from_user=ONE),
        message(1, 2, 1, "INVITE", "b", from_user=OTHER),
        message(2, 1, 3, "INVITE", "c", from_user="+44" + ONE[1:]),
    ]
    assert arrivals(wire, CALLERS) == [ONE[-9:], OTHER[-9:]]
    assert services(wire, AGENTS) == [(ONE[-9:], 2_000_000)]


@pytest.mark.parametrize(
    ("served", "within", "errors"),
    [
        ([("a", 1), ("b", 2), ("c", 3)], 0, []),
        ([("b", 1), ("a", 2), ("c", 3)], 0, [2]),
        ([("c", 1), ("a", 2), ("b", 3)], 0, [3]),
        ([("b", 1), ("c", 2), ("a", 3)], 0, [2, 3]),
        ([("b", 1), ("a", 2), ("c", 3)], 1, []),
        ([("b", 1), ("a", 3), ("c", 4)], 1, [2]),
        ([("a", 1), ("c", 2)], 0, [3]),  # b never was
        ([("a", 1), ("c", 2)], 9, [3]),
        ([("a", 1), ("b", 2)], 0, []),  # c waits on
        ([("a", 1), ("b", 2), ("c", 3), ("a", 4)], 0, []),  # a phone was rung for a a second time
        ([], 0, []),
    ],
)
def test_place_errors(served: list[tuple[str, int]], within: int, errors: list[int]) -> None:
    """Whoever was served before somebody who had joined earlier, by place; at once is no error on the wire."""
    assert overtaken(["a", "b", "c"], served, within) == errors


def test_longest_without_an_agent() -> None:
    """While somebody waits and nobody is brought to an agent; who is never brought waits to the end."""
    second = 1_000_000_000
    assert longest_without([], 9 * second) == 0
    assert longest_without([Reach(1 * second, 4 * second)], 9 * second) == 3
    both = [Reach(1 * second, 5 * second), Reach(2 * second, 3 * second)]  # somebody was brought at 3
    assert longest_without(both, 9 * second) == 2
    assert longest_without([Reach(1 * second, None), Reach(2 * second, 3 * second)], 9 * second) == 6
    apart = [Reach(1 * second, 2 * second), Reach(7 * second, 8 * second)]  # nobody waited in between
    assert longest_without(apart, 9 * second) == 1
