"""Latencies read off a wire made by hand. Port 1 is the switch, 2 a caller's, 3 and 4 agents' phones."""

from dataclasses import replace

from hwtest.bench.readings import answer_latencies, dispatch_latencies, offer_latencies, stray_offers
from hwtest.capture import Record

CALLERS, AGENTS = {2}, {3, 4}


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
