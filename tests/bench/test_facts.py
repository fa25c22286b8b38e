"""Facts against a wire made by hand."""

from edge.core.facts import (
    AnnouncementEnded,
    AnnouncementStarted,
    CallArrived,
    CallConnected,
    CallEnded,
    Entry,
    Fact,
    OfferAnswered,
    OfferMade,
)
from edge.core.model import CallOutcome, ClockState, Instant, Side, Stage
from hwtest.bench.facts import Comparison, compare_facts, dispatch_stages, offers_in_announcement
from hwtest.capture import Record
from tests.bench.test_readings import AGENTS, CALLERS, message

NUMBER = "07700900123"
WIRE = [
    message(0, 2, 1, "INVITE", "a", from_user=NUMBER),
    message(10, 1, 3, "INVITE", "x", edge_call="e1"),
    message(20, 3, 1, "200", "x"),
    message(90, 3, 1, "BYE", "x"),
    message(92, 1, 2, "BYE", "a"),
]


def entry(milliseconds: float, fact: Fact) -> Entry:
    """A fact held true at that time."""
    at = Instant(0, round(milliseconds * 1000))
    return Entry(sequence=1, at=at, fact=fact, reason="", clock=ClockState.SYNCHRONISED)


def arrived(milliseconds: float, call_id: str = "e1", number: str = "+447700900123") -> Entry:
    """The call arrived."""
    fact = CallArrived(
        call_id=call_id, leg_id="l", line="101", number_withheld=False, adopted=False, caller_number=number
    )
    return entry(milliseconds, fact)


def offered(milliseconds: float, offer_id: str = "e1.1", call_id: str = "e1") -> Entry:
    """The call was offered."""
    fact = OfferMade(
        offer_id=offer_id, call_id=call_id, agent="4001", phone="agent1", ring_seconds=20, waited_seconds=0
    )
    return entry(milliseconds, fact)


def ended(milliseconds: float, call_id: str = "e1") -> Entry:
    """The call ended."""
    fact = CallEnded(
        call_id=call_id,
        outcome=next(iter(CallOutcome)),
        stage=next(iter(Stage)),
        side=next(iter(Side)),
        cause="",
        waited_seconds=0,
        talked_seconds=0,
        agent=None,
    )
    return entry(milliseconds, fact)


def answered(milliseconds: float) -> list[Entry]:
    """The agent answered, and both hear each other 5 ms later."""
    answer = OfferAnswered(offer_id="e1.1", call_id="e1", agent="4001")
    join = CallConnected(call_id="e1", offer_id="e1.1", agent="4001", waited_seconds=0)
    return [entry(milliseconds, answer), entry(milliseconds + 5, join)]


def compared(records: list[Record], entries: list[Entry]) -> dict[str, Comparison]:
    """The comparisons by kind."""
    return {each.kind: each for each in compare_facts(records, entries, CALLERS, AGENTS)}


def test_errors() -> None:
    """Each fact is compared with its own message; one before its message has a negative error."""
    found = compared(WIRE, [arrived(2), offered(6), *answered(21), ended(93)])
    assert {kind: each.errors for kind, each in found.items()} == {
        "CallArrived": [2.0],
        "OfferMade": [-4.0],
        "OfferAnswered": [1.0],
        "CallConnected": [6.0],
        "CallEnded": [3.0],
    }
    assert not any(each.missing or each.extra for each in found.values())


def test_missing() -> None:
    """A message without its fact is missing."""
    found = compared(WIRE, [arrived(2), offered(6)])
    assert [
        len(found[kind].missing) for kind in ("OfferMade", "OfferAnswered", "CallConnected", "CallEnded")
    ] == [0, 1, 1, 1]


def test_call_that_is_not_in_the_ledger() -> None:
    """A call of which the ledger knows nothing is missing at its arrival, and so is its end."""
    found = compared([*WIRE[:1], message(50, 2, 1, "BYE", "a")], [])
    assert [len(found[kind].missing) for kind in ("CallArrived", "CallEnded")] == [1, 1]


def test_extra() -> None:
    """A fact without its message is extra."""
    found = compared(
        WIRE, [arrived(2), offered(6), offered(8, "e1.2"), *answered(21), ended(93), ended(94, "e9")]
    )
    assert (len(found["OfferMade"].extra), len(found["CallEnded"].extra)) == (1, 1)


def test_second_offer() -> None:
    """Offers of one call pair in order."""
    wire = [*WIRE[:2], message(60, 1, 4, "INVITE", "y", edge_call="e1")]
    assert compared(wire, [arrived(2), offered(7), offered(58, "e1.2")])["OfferMade"].errors == [-3.0, -2.0]


def test_answer_that_crossed_the_hang_up() -> None:
    """An answer within 50 ms of the caller's hang-up need not have become a fact."""
    wire = [*WIRE[:3], message(22, 2, 1, "BYE", "a")]
    found = compared(wire, [arrived(2), offered(6), ended(23)])["OfferAnswered"]
    assert (found.missing, found.crossed) == ([], 1)


def test_offers_in_announcement() -> None:
    """An offer counts when it is made after an announcement began and before it ended."""
    started = entry(0, AnnouncementStarted(call_id="e1", prompt="p"))
    over = entry(5, AnnouncementEnded(call_id="e1", prompt="p", completed=True))
    assert offers_in_announcement([started, offered(1), over, offered(6), offered(7, call_id="e2")]) == (1, 3)


def test_stages() -> None:
    """A dispatch divides at the decision; an offer made before the agent was free belongs to another."""
    wire = [message(100, 3, 1, "BYE", "x"), message(110, 1, 3, "INVITE", "y", edge_call="e1")]
    assert dispatch_stages(wire, [offered(104)], AGENTS) == ([4.0], [6.0])
    assert dispatch_stages(wire, [offered(90)], AGENTS) == ([], [])
