"""Differences between this record and another party's: call by call against the switch's, figure by figure against BT's.

Neither is taken to be right. What one has and the other has not is listed with enough to look it up in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge.core import facts
from edge.core.model import MICROSECONDS
from edge.metrics.asking import ask, period_of
from edge.metrics.book import Book
from edge.reports.others import BT_FIGURES, TheirCall
from edge.views.reading import Reader, entries_of, sequence_before

if TYPE_CHECKING:
    from edge.mi.projection import Projection

TOLERANCE_SECONDS = 2.0
"""The switch's records have whole seconds, and are closed a moment after the call."""
LONGEST_CALL_US = 6 * 3600 * MICROSECONDS
"""How far before the other party's first call ours may have arrived, to be looked for."""
KINDS = (facts.CallArrived, facts.CallConnected, facts.FallbackConnected, facts.CallEnded)
BT_DEFINITIONS = {
    "under_10": "999-under-10",
    "from_10_to_60": "999-10-to-60",
    "over_60": "999-60-and-over",
    "mean_seconds": "999-mean",
}


@dataclass(slots=True, kw_only=True)
class OurCall:
    """What is compared of one of ours. `key`: the leg by which it came, as the switch names it."""

    call_id: str
    key: str
    arrived_us: int
    ended_us: int | None = None
    connected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing on which the two do not agree. `subject`: a call's id or uniqueid, or a period."""

    subject: str
    what: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared and found."""

    ours: int
    """Calls of ours, or figures, that were compared."""
    theirs: int
    matched: int
    differences: tuple[Difference, ...]


def our_calls(reader: Reader, since_us: int, until_us: int) -> list[OurCall]:
    """Calls that arrived from so long before `since_us` that they may reach into it, until `until_us`."""
    found: dict[str, OurCall] = {}
    for entry in entries_of(reader, KINDS, sequence_before(reader, since_us - LONGEST_CALL_US)):
        match entry.fact:
            case facts.CallArrived(call_id=call_id, leg_id=leg_id) if entry.at.utc_us < until_us:
                found[call_id] = OurCall(call_id=call_id, key=leg_id, arrived_us=entry.at.utc_us)
            case facts.CallConnected(call_id=call_id) | facts.FallbackConnected(call_id=call_id):
                if call_id in found:
                    found[call_id].connected = True
            case facts.CallEnded(call_id=call_id) if call_id in found:
                found[call_id].ended_us = entry.at.utc_us
    return list(found.values())


def compare_calls(
    ours: Iterable[OurCall],
    theirs: Mapping[str, TheirCall],
    since_us: int,
    until_us: int,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Comparison:
    """Call by call, by the leg's name. Near the ends of the time only those are missed that lie inside it for certain."""
    by_key = {call.key: call for call in ours}
    edge_us = int(tolerance_seconds * MICROSECONDS)
    inside = {
        key
        for key, call in by_key.items()
        if since_us + edge_us <= call.arrived_us < until_us - edge_us or key in theirs
    }
    found = []
    for key in sorted(inside | theirs.keys(), key=lambda key: (_when(by_key.get(key), theirs.get(key)), key)):
        ours_of, theirs_of = by_key.get(key), theirs.get(key)
        if theirs_of is None:
            assert ours_of is not None
            found.append(_missing(ours_of.call_id, "only in this record", ours=_time(ours_of.arrived_us)))
        elif ours_of is None:
            where = f"{_time(theirs_of.started_us)}, line {theirs_of.line}"
            found.append(_missing(key, "only in the other record", theirs=where))
        else:
            found += _differences(ours_of, theirs_of, tolerance_seconds)
    return Comparison(
        ours=len(inside),
        theirs=len(theirs),
        matched=len(inside & theirs.keys()),
        differences=tuple(found),
    )


def _when(ours: OurCall | None, theirs: TheirCall | None) -> int:
    if ours is not None:
        return ours.arrived_us
    return 0 if theirs is None else theirs.started_us


def _missing(subject: str, what: str, ours: str = "", theirs: str = "") -> Difference:
    return Difference(subject=subject, what=what, ours=ours, theirs=theirs)


def _differences(ours: OurCall, theirs: TheirCall, tolerance_seconds: float) -> list[Difference]:
    found = []
    for what, mine, other in (
        ("arrived", ours.arrived_us, theirs.started_us),
        ("ended", ours.ended_us, theirs.ended_us),
    ):
        if mine is None or abs(mine - other) > tolerance_seconds * MICROSECONDS:
            found.append(
                Difference(
                    subject=ours.call_id,
                    what=what,
                    ours="not yet" if mine is None else _time(mine),
                    theirs=_time(other),
                )
            )
    if ours.connected and not theirs.answered:
        found.append(
            Difference(subject=ours.call_id, what="answered", ours="by a person", theirs="not answered")
        )
    return found


def _time(at_us: int) -> str:
    from edge.cli.output import rfc3339

    return rfc3339(at_us)


def compare_figures(
    projection: Projection, book: Book, theirs: Mapping[str, Mapping[str, float]], zone: ZoneInfo, now_us: int
) -> Comparison:
    """Each figure of each period that the other party has, beside ours; `mean_seconds` to a tenth."""
    found, compared = [], 0
    for period, figures in theirs.items():
        start_us, end_us = period_of(period, zone, now_us)
        values = {
            name: ask(projection, book, [definition], start_us, end_us, zone=zone)[0].value
            for name, definition in BT_DEFINITIONS.items()
        }
        values["answered"] = sum(values[name] or 0.0 for name in ("under_10", "from_10_to_60", "over_60"))
        for name, other in figures.items():
            compared += 1
            mine = values[name]
            if mine is None or abs(mine - other) >= (0.05 if name == "mean_seconds" else 0.5):
                found.append(
                    Difference(
                        subject=period,
                        what=BT_FIGURES[name],
                        ours="none" if mine is None else f"{mine:,.1f}".removesuffix(".0"),
                        theirs=f"{other:,.1f}".removesuffix(".0"),
                    )
                )
    return Comparison(ours=compared, theirs=compared, matched=compared - len(found), differences=tuple(found))
