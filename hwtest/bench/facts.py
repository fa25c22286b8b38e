"""Facts against the wire: how far each fact's time is from the message that it is about. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge.core.facts import (
    AnnouncementEnded,
    AnnouncementStarted,
    CallArrived,
    CallConnected,
    CallEnded,
    Entry,
    OfferAnswered,
    OfferMade,
)
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import dispatches, firsts, is_new_call
from hwtest.capture import Record

STANDS_FOR = {
    "CallArrived": "the caller's INVITE",
    "OfferMade": "the INVITE to the agent's phone",
    "OfferAnswered": "the agent's 200",
    "CallConnected": "the agent's 200 too: nothing on the wire shows the join, so the hand-over is in the error",
    "CallEnded": "the first BYE (or CANCEL) of a phone, the caller's or the agent's",
}
_ENDS = {"BYE", "CANCEL"}
CROSSED_MS = 50
"""An answer and a hang-up this close to each other may have crossed: either way of recording it is right."""
_CROSSED_NS = CROSSED_MS * 1_000_000


@dataclass(slots=True)
class Comparison:
    """One kind of fact. `errors` are fact minus wire in milliseconds, negative when the fact was first."""

    kind: str
    errors: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What was on the wire and is in no fact: calls by their id, or by the caller's Call-ID."""
    extra: list[str] = field(default_factory=list)
    """Facts about nothing that was on the wire."""
    crossed: int = 0
    """Answers that a hang-up crossed and that are in no fact: not counted as missing."""


Place = tuple[str, int]
"""An offer: our call id, and how many offers the call had before."""


class _Times(NamedTuple):
    """The wire's instants, by what a fact of that kind is known by."""

    arrivals: dict[str, int]
    """By the caller's number."""
    offers: dict[Place, int]
    answers: dict[Place, int]
    ends: dict[str, int]
    """By the caller's number, or our call id where an agent's phone hung up."""


def compare_facts(
    records: Iterable[Record],
    entries: Sequence[Entry],
    caller_ports: Collection[int],
    agent_ports: Collection[int],
) -> list[Comparison]:
    """All kinds. `records` and `entries` must cover the same calls from arrival to end."""
    times = _read(records, caller_ports, agent_ports)
    arrivals = dict(_arrivals(entries))
    numbers = {
        number: entry.fact.call_id
        for number, entry in arrivals.items()
        if isinstance(entry.fact, CallArrived)
    }
    made = dict(_offers(entries))
    place = {entry.fact.offer_id: where for where, entry in made.items() if isinstance(entry.fact, OfferMade)}
    ends = _ends(times, numbers)
    crossed = {
        where
        for where, at in times.answers.items()
        if ends.get(where[0], at + 2 * _CROSSED_NS) < at + _CROSSED_NS
    }
    return [
        _pair("CallArrived", times.arrivals, arrivals),
        _pair("OfferMade", times.offers, made),
        _pair("OfferAnswered", times.answers, dict(_placed(entries, OfferAnswered, place)), crossed),
        _pair("CallConnected", times.answers, dict(_placed(entries, CallConnected, place)), crossed),
        _pair(
            "CallEnded",
            ends,
            {entry.fact.call_id: entry for entry in entries if isinstance(entry.fact, CallEnded)},
        ),
    ]


def _read(records: Iterable[Record], caller_ports: Collection[int], agent_ports: Collection[int]) -> _Times:
    times = _Times({}, {}, {}, {})
    callers = dict[str, str]()  # Call-ID to number
    legs = dict[str, Place]()  # Call-ID to offer
    offers = Counter[str]()
    for record in firsts(records):
        if record.label == "INVITE" and not record.in_dialog and record.source_port in caller_ports:
            number = callers[record.call_id] = comparable(record.from_user)
            times.arrivals[number] = record.stamp_ns
        elif is_new_call(record, agent_ports) and record.edge_call:
            place = legs[record.call_id] = record.edge_call, offers[record.edge_call]
            offers[record.edge_call] += 1
            times.offers[place] = record.stamp_ns
        elif record.source_port in caller_ports and record.label in _ENDS and record.call_id in callers:
            times.ends.setdefault(callers[record.call_id], record.stamp_ns)
        elif record.source_port in agent_ports and record.call_id in legs:
            if (record.label, record.method) == ("200", "INVITE"):
                times.answers.setdefault(legs[record.call_id], record.stamp_ns)
            elif record.label in _ENDS:
                times.ends.setdefault(legs[record.call_id][0], record.stamp_ns)
    return times


def _ends(times: _Times, call_ids: dict[str, str]) -> dict[str, int]:
    """The first end of each call by our call id; by number where we do not know the call."""
    ends = dict[str, int]()
    for key, at in times.ends.items():
        call_id = call_ids.get(key, key)
        ends[call_id] = min(at, ends.get(call_id, at))
    return ends


def _arrivals(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for entry in entries:
        if isinstance(entry.fact, CallArrived):
            yield comparable(entry.fact.caller_number), entry


def _offers(entries: Sequence[Entry]) -> Iterator[tuple[Place, Entry]]:
    before = Counter[str]()
    for entry in entries:
        if isinstance(entry.fact, OfferMade):
            yield (entry.fact.call_id, before[entry.fact.call_id]), entry
            before[entry.fact.call_id] += 1


def _placed(
    entries: Sequence[Entry], kind: type[OfferAnswered | CallConnected], places: Mapping[str, Place]
) -> Iterator[tuple[Place, Entry]]:
    for entry in entries:
        if isinstance(entry.fact, kind):
            yield places.get(entry.fact.offer_id, (entry.fact.offer_id, -1)), entry


def _pair(
    kind: str, wire: Mapping[Any, int], facts: Mapping[Any, Entry], crossed: Collection[Any] = ()
) -> Comparison:
    missing = [key for key in wire if key not in facts]
    return Comparison(
        kind=kind,
        errors=[facts[key].at.utc_us / 1e3 - at / 1e6 for key, at in wire.items() if key in facts],
        missing=[str(key) for key in missing if key not in crossed],
        extra=[str(key) for key in facts if key not in wire],
        crossed=sum(key in crossed for key in missing),
    )


def offers_in_announcement(entries: Iterable[Entry]) -> tuple[int, int]:
    """How many offers were made while the caller heard an announcement, and how many in all."""
    hearing = set[str]()
    during = offers = 0
    for entry in entries:
        match entry.fact:
            case AnnouncementStarted(call_id=call_id):
                hearing.add(call_id)
            case AnnouncementEnded(call_id=call_id):
                hearing.discard(call_id)
            case OfferMade(call_id=call_id):
                offers += 1
                during += call_id in hearing
    return during, offers


class Stages(NamedTuple):
    """A dispatch in two parts, in milliseconds."""

    sight: list[float]
    """From the agent's BYE to the fact `OfferMade`: seeing the hang-up and deciding."""
    carried: list[float]
    """From that fact to the INVITE: commit, request to the switch, and the switch itself."""


def dispatch_stages(
    records: Iterable[Record], entries: Iterable[Entry], agent_ports: Collection[int]
) -> Stages:
    """The parts of each dispatch whose offer the ledger knows."""
    made = {
        entry.fact.call_id: entry.at.utc_us * 1000 for entry in entries if isinstance(entry.fact, OfferMade)
    }
    stages = Stages([], [])
    for free_ns, offer in dispatches(records, agent_ports):
        at = made.get(offer.edge_call or "")
        if at is not None and free_ns <= at <= offer.stamp_ns:  # otherwise another offer of the same call
            stages.sight.append((at - free_ns) / 1e6)
            stages.carried.append((offer.stamp_ns - at) / 1e6)
    return stages
