"""A ledger of calls for tests of MI: as many as wanted, each the same sixteen facts, one of them with a number."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from edge.core.facts import (
    AnnouncementEnded,
    AnnouncementStarted,
    CallAnswered,
    CallArrived,
    CallConnected,
    CallEnded,
    CallQueued,
    Entry,
    Fact,
    OfferAnswered,
    OfferEnded,
    OfferMade,
    OfferRang,
    WaitPredicted,
    WrapUpEnded,
    WrapUpStarted,
)
from edge.core.model import CallOutcome, ClockState, Instant, OfferOutcome, Side, Stage
from edge.ledger.store import SqlLedger

FIRST_UTC_US = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC."""
BETWEEN_CALLS_US = 700_000
FACTS_PER_CALL = 16
NAME = '=HYPERLINK("http://evil.invalid")<script>alert(1)</script>'
"""A stranger may write anything."""


def number_of(call: int) -> str:
    """Of Ofcom's numbers for drama: nobody's."""
    return f"07700900{call % 1000:03d}"


def facts_of(call: int) -> list[Fact]:
    """The story of one call: on line public, or welsh for every fourth."""
    call_id, line = f"call-{call:09d}", "welsh" if call % 4 == 3 else "public"
    missed, taken = f"a-{call_id}", f"b-{call_id}"
    return [
        CallArrived(
            call_id=call_id,
            leg_id=f"leg-{call}",
            line=line,
            number_withheld=False,
            adopted=False,
            caller_number=number_of(call),
            caller_name=NAME,
        ),
        CallAnswered(call_id=call_id, by=Side.SYSTEM),
        CallQueued(
            call_id=call_id,
            queue=line,
            priority_class="standard",
            tier=1,
            queued_at=Instant(utc_of(call) * 1000, utc_of(call)),
        ),
        AnnouncementStarted(call_id=call_id, prompt="greeting-101"),
        AnnouncementEnded(call_id=call_id, prompt="greeting-101", completed=True),
        WaitPredicted(call_id=call_id, low_seconds=1, high_seconds=3, position=1, agents=3, measured=True),
        OfferMade(
            offer_id=missed, call_id=call_id, agent="4001", phone="desk1", ring_seconds=15, waited_seconds=1
        ),
        OfferRang(offer_id=missed, call_id=call_id, agent="4001"),
        OfferEnded(offer_id=missed, call_id=call_id, agent="4001", outcome=OfferOutcome.MISSED, cause="19"),
        OfferMade(
            offer_id=taken, call_id=call_id, agent="4002", phone="desk2", ring_seconds=15, waited_seconds=2
        ),
        OfferRang(offer_id=taken, call_id=call_id, agent="4002"),
        OfferAnswered(offer_id=taken, call_id=call_id, agent="4002"),
        CallConnected(call_id=call_id, offer_id=taken, agent="4002", waited_seconds=3.0),
        CallEnded(
            call_id=call_id,
            outcome=CallOutcome.ANSWERED,
            stage=Stage.TALKING,
            side=Side.CALLER,
            cause="16",
            waited_seconds=3.0,
            talked_seconds=5.0,
            agent="4002",
        ),
        WrapUpStarted(agent="4002", call_id=call_id, seconds=30.0),
        WrapUpEnded(agent="4002"),
    ]


def utc_of(call: int) -> int:
    """When the call arrived, in microseconds."""
    return FIRST_UTC_US + call * BETWEEN_CALLS_US


def entries(first_call: int, calls: int, first_sequence: int = 1) -> Iterator[Entry]:
    """The facts of these calls, one after the other."""
    sequences = count(first_sequence)
    for call in range(first_call, first_call + calls):
        for index, fact in enumerate(facts_of(call)):
            utc_us = utc_of(call) + index * 1000
            yield Entry(
                sequence=next(sequences),
                at=Instant(utc_us * 1000, utc_us),
                fact=fact,
                reason=f"Agent 4002 has been ready the longest for call {call}.",
                clock=ClockState.SYNCHRONISED,
            )


def write(ledger: SqlLedger, calls: int, first_call: int = 0, batch: int = 200) -> None:
    """Append so many calls."""
    for start in range(first_call, first_call + calls, batch):
        some = min(batch, first_call + calls - start)
        ledger.append(list(entries(start, some, ledger.last_sequence() + 1)))
