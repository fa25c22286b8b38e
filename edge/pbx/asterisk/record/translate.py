"""Rows of Asterisk's own record as callers: when they came, were answered, connected and gone, with whom, and who hung up. Pure.

A channel is a caller's where our dialplan has written who it is into its user field (`join` in edge101-extensions.conf); what
it was before that (its beginning) is known by its unique id. Talking is being in one bridge with a leg that is no caller's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from edge.core.inputs import TracedCall
from edge.core.model import PhoneKind, Policy, Side
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.causes import CUTS
from edge.pbx.asterisk.record.wire import CallDetail, ChannelEvent, QueueEvent

EVENTS, DETAILS = "CEL", "CDR"
"""What the two records are called where a fact names its source."""
TURNED_AWAY = 34
"""The cause with which our dialplan turns a 101 away for whom there is no channel to spare."""
ANSWERED = "ANSWERED"
_CALL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_JOINED = re.compile(r"[0-9]{10,14}")
_WORDS = {
    0: "no cause",
    16: "normal clearing",
    17: "user busy",
    19: "no answer",
    34: "no channel to spare",
    38: "network out of order",
    127: "interworking",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What our dialplan has written on a caller's channel."""

    call_id: str
    line: str
    joined_utc_us: int
    number: str | None
    withheld: bool
    upgraded: bool


def mark(text: str) -> Mark | None:
    """`call|line|joined|presentation|number`, and `|upgraded`; None for anything else."""
    parts = text.split("|")
    if len(parts) not in (5, 6):
        return None
    call_id, line, joined, presentation, number = parts[:5]
    if not (_CALL.fullmatch(call_id) and _LINE.fullmatch(line) and _JOINED.fullmatch(joined)):
        return None
    who = identity.caller(number, "", presentation)
    return Mark(call_id, line, int(joined) * 1000, who.number, who.withheld, parts[5:] == ["upgraded"])


@dataclass(slots=True)
class _Leg:
    """A caller's channel, as far as it has been read."""

    leg_id: str
    name: str
    mark: Mark | None = None
    arrived: int | None = None
    answered: int | None = None
    fallback: int | None = None
    connected: int | None = None
    with_whom: list[str] = field(default_factory=list)
    """Names of the legs it talked with."""
    ended: int | None = None
    cause: int | None = None
    hung_up_by: str = ""
    latest: int = 0


@dataclass(slots=True)
class _Book:
    """Everything read so far."""

    legs: dict[str, _Leg] = field(default_factory=dict)
    bridges: dict[str, dict[str, str]] = field(default_factory=dict)
    """Bridge -> who is in it: leg id -> name."""


def traced(
    events: Iterable[ChannelEvent], queue: Iterable[QueueEvent], policy: Policy
) -> tuple[list[TracedCall], set[str]]:
    """The callers of these events, and the ids of their legs. `queue`: who took whom, by the switch's own queue."""
    book = _Book()
    for event in events:
        _take(book, event)
    callers = [leg for leg in book.legs.values() if leg.mark is not None]
    took = {event.leg_id: event.agent for event in queue if event.kind == "CONNECT"}
    phones = phones_by_name(policy)
    by_call: dict[str, list[_Leg]] = {}
    for leg in callers:
        assert leg.mark is not None
        by_call.setdefault(leg.mark.call_id, []).append(leg)
    return [_call(legs, took, phones) for legs in by_call.values()], {leg.leg_id for leg in callers}


def phones_by_name(policy: Policy) -> Mapping[str, str]:
    """Phones by the beginning of their channels' names. Behind a trunk that is one for all: only a single phone is told by it."""
    names = {
        f"PJSIP/{name}": name for name, phone in policy.phones.items() if phone.kind is not PhoneKind.TRUNK
    }
    for trunk in {phone.trunk for phone in policy.phones.values() if phone.kind is PhoneKind.TRUNK}:
        behind = [name for name, phone in policy.phones.items() if phone.trunk == trunk]
        if len(behind) == 1:
            names[f"PJSIP/{trunk}"] = behind[0]
        elif (buddy := policy.emergency.buddy_phone) in behind and buddy is not None:
            names[f"PJSIP/{trunk}"] = buddy  # of those, the one that the switch rings by itself
    return names


def _take(book: _Book, event: ChannelEvent) -> None:
    leg = book.legs.get(event.leg_id)
    if leg is None:
        leg = book.legs[event.leg_id] = _Leg(event.leg_id, event.name)
    leg.latest = max(leg.latest, event.utc_us)
    if (told := mark(event.field)) is not None:
        leg.mark = told
    match event.kind:
        case "CHAN_START":
            leg.arrived = event.utc_us
        case "ANSWER" if leg.answered is None:
            leg.answered = event.utc_us
        case "APP_START" if event.app in ("Queue", "Dial") and leg.fallback is None:
            leg.fallback = event.utc_us
        case "BRIDGE_ENTER":
            _enter(book, leg, event)
        case "BRIDGE_EXIT":
            book.bridges.get(_extra(event, "bridge_id"), {}).pop(leg.leg_id, None)
        case "HANGUP":
            leg.ended = event.utc_us
            leg.hung_up_by = _extra(event, "hangupsource")
            cause = _extra(event, "hangupcause")
            leg.cause = int(cause) if cause.isascii() and cause.isdigit() and len(cause) <= 3 else None
        case "CHAN_END" if leg.ended is None:
            leg.ended = event.utc_us


def _enter(book: _Book, leg: _Leg, event: ChannelEvent) -> None:
    """Who comes into a bridge talks from then on with who is in it, and they with them."""
    inside = book.bridges.setdefault(_extra(event, "bridge_id"), {})
    for other_id, other_name in inside.items():
        _met(leg, other_name, event.utc_us)
        _met(book.legs[other_id], leg.name, event.utc_us)
    inside[leg.leg_id] = leg.name


def _met(leg: _Leg, name: str, utc_us: int) -> None:
    leg.connected = leg.connected or utc_us
    leg.with_whom.append(name)


def _extra(event: ChannelEvent, key: str) -> str:
    """What stands under this key in the JSON of an event; "" where there is none, or no JSON."""
    try:
        found = json.loads(event.extra or "{}")
    except (ValueError, RecursionError):
        return ""
    value = found.get(key) if isinstance(found, dict) else None
    return str(value) if isinstance(value, str | int) else ""


def _call(legs: list[_Leg], took: Mapping[str, str], phones: Mapping[str, str]) -> TracedCall:
    """The call of these legs: mostly one; a person who was called back has another."""
    last = max(legs, key=lambda leg: (leg.ended is None, leg.latest))
    told = last.mark
    assert told is not None
    met = [name for leg in legs for name in leg.with_whom]
    agents = [took[leg.leg_id] for leg in legs if leg.leg_id in took]
    answered = _earliest(leg.answered for leg in legs)
    fallback = _earliest(leg.fallback for leg in legs)
    refused = last.cause == TURNED_AWAY and answered is None and fallback is None
    return TracedCall(
        call_id=told.call_id,
        leg_id=last.leg_id,
        line=told.line,
        caller_number=told.number,
        number_withheld=told.withheld,
        joined_utc_us=told.joined_utc_us,
        arrived_utc_us=_earliest(leg.arrived for leg in legs),
        answered_utc_us=answered,
        fallback_utc_us=fallback,
        connected_utc_us=_earliest(leg.connected for leg in legs),
        ended_utc_us=last.ended,
        latest_utc_us=max(leg.latest for leg in legs),
        agent=agents[-1] if agents else None,
        phone=phones.get(identity.interface_of_leg(met[-1])) if met else None,
        upgraded=any(leg.mark is not None and leg.mark.upgraded for leg in legs),
        refused=refused,
        side=_side(last, met),
        cause=_cause(last.cause),
        cut=last.cause in CUTS,
        source=EVENTS,
    )


def _earliest(times: Iterable[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _side(leg: _Leg, met: Collection[str]) -> Side:
    if leg.ended is None or not leg.hung_up_by:
        return Side.UNKNOWN
    if leg.hung_up_by == leg.name:
        return Side.CALLER
    return Side.AGENT if leg.hung_up_by in met else Side.SYSTEM


def _cause(cause: int | None) -> str:
    return "not told" if cause is None else f"{cause} {_WORDS.get(cause, '')}".strip()


def from_details(
    details: Iterable[CallDetail], queue: Iterable[QueueEvent], known: Collection[str], policy: Policy
) -> list[TracedCall]:
    """Callers in the call records whom the events do not tell of wholly (`known`: those whom they do), as well as can be: when a
    talk began stands in neither, so it is taken from the queue log, else from the answer of the caller's leg."""
    took = {event.leg_id: event for event in queue if event.kind == "CONNECT"}
    phones, by_call = phones_by_name(policy), dict[str, list[tuple[Mark, CallDetail]]]()
    for detail in details:
        told = mark(detail.field)
        if told is not None and told.call_id not in known:
            by_call.setdefault(told.call_id, []).append((told, detail))
    return [_call_of_details(rows, took, phones) for rows in by_call.values()]


def _call_of_details(
    rows: list[tuple[Mark, CallDetail]], took: Mapping[str, QueueEvent], phones: Mapping[str, str]
) -> TracedCall:
    told, last = rows[-1]
    start = min(detail.start_utc_us for _, detail in rows)
    end = max(detail.end_utc_us for _, detail in rows)
    answered = _earliest(detail.answer_utc_us or None for _, detail in rows)
    talks = [detail for _, detail in rows if detail.other and detail.disposition == ANSWERED]
    connect = next((took[detail.leg_id] for _, detail in rows if detail.leg_id in took), None)
    connected = connect.utc_us if connect is not None else (answered if talks else None)
    return TracedCall(
        call_id=told.call_id,
        leg_id=last.leg_id,
        line=told.line,
        caller_number=told.number,
        number_withheld=told.withheld,
        joined_utc_us=told.joined_utc_us,
        arrived_utc_us=start,
        answered_utc_us=answered,
        fallback_utc_us=None,
        connected_utc_us=None if connected is None else max(start, connected),
        ended_utc_us=end,
        latest_utc_us=end,
        agent=connect.agent if connect is not None else None,
        phone=phones.get(identity.interface_of_leg(talks[-1].other)) if talks else None,
        upgraded=told.upgraded,
        source=DETAILS,
    )
