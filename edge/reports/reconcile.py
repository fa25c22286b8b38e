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
from edge.metrics.asking import period_of
from edge.metrics.book import Book
from edge.metrics.compute import Calculator
from edge.metrics.periods import Every, divide
from edge.reports.others import BT_FIGURES, TheirCall
from edge.views.calls import CallFold, CallRecord
from edge.views.reading import Reader, entries_of, sequence_before
from edge.views.times import rfc3339

if TYPE_CHECKING:
    from edge.mi.projection import Projection

TOLERANCE_SECONDS = 2.0
"""The switch's records have whole seconds, and are closed a moment after the call."""
LONGEST_CALL_US = 6 * 3600 * MICROSECONDS
"""How far before the other party's first call ours may have arrived, to be looked for."""
KINDS = (
    facts.CallArrived,
    facts.CallConnected,
    facts.FallbackConnected,
    facts.CallbackPromised,
    facts.CallbackWaits,
    facts.CallEnded,
    facts.CallTraced,
)
"""What the parts of a record are folded from that are compared."""
BT_DEFINITIONS = {
    "under_10": "999-under-10",
    "from_10_to_60": "999-10-to-60",
    "over_60": "999-60-and-over",
    "mean_seconds": "999-mean",
}


@dataclass(slots=True, kw_only=True)
class OurCall:
    """What is compared of one of ours. `key`: the leg by which it came, as the switch names it, whose end `ended_us` is."""

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
    """Calls that arrived from so long before `since_us` that they may reach into it, until `until_us`; as corrected since."""
    fold, legs = CallFold(), dict[str, str]()
    for entry in entries_of(reader, KINDS, sequence_before(reader, since_us - LONGEST_CALL_US)):
        fold.add(entry)
        if isinstance(entry.fact, facts.CallArrived):
            legs[entry.fact.call_id] = entry.fact.leg_id
    return [
        OurCall(
            call_id=call.call_id,
            key=legs[call.call_id],
            arrived_us=call.arrived_at.utc_us,
            ended_us=_left_us(call),
            connected=bool(call.connections),
        )
        for call in fold.calls.values()
        if call.arrived_at.utc_us < until_us
    ]


def _left_us(call: CallRecord) -> int | None:
    """When the leg was gone by which it came: whoever has a call-back is off the line long before the call ends."""
    left = call.ended_at if call.callback is None else call.callback.off_line_at or call.ended_at
    return None if left is None else left.utc_us


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
            found.append(_missing(ours_of.call_id, "only in this record", ours=rfc3339(ours_of.arrived_us)))
        elif ours_of is None:
            where = f"{rfc3339(theirs_of.started_us)}, line {theirs_of.line}"
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
                    ours="not yet" if mine is None else rfc3339(mine),
                    theirs=rfc3339(other),
                )
            )
    if ours.connected and not theirs.answered:
        found.append(
            Difference(subject=ours.call_id, what="answered", ours="by a person", theirs="not answered")
        )
    return found


def compare_figures(
    projection: Projection, book: Book, theirs: Mapping[str, Mapping[str, float]], zone: ZoneInfo, now_us: int
) -> Comparison:
    """Each figure of each period that the other party has, beside ours; `mean_seconds` to a tenth."""
    found, compared = [], 0
    for period, figures in theirs.items():
        start_us, end_us = period_of(period, zone, now_us)
        one = Calculator(
            projection.figures(start_us, end_us, "completion"),
            book,
            divide(start_us, end_us, Every.WHOLE, zone),
        )
        values = {name: one.compute(definition)[0].value for name, definition in BT_DEFINITIONS.items()}
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
