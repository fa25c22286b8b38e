"""Pages made on the server. Templates escape everything; nothing in a page runs or styles itself (the policy forbids it)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge.core import facts
from edge.core.model import MICROSECONDS, Instant
from edge.views import caller, words
from edge.views.record import CallRecord
from edge.views.story import outcome_sentence, tell

HERE = Path(__file__).parent
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy of every page here: nothing inline, nothing from anywhere else, in nobody's frame."""
CHART_WIDTH, NAME_WIDTH, ROW_HEIGHT, HEAD_HEIGHT = 1000, 220, 28, 26
NARROWEST = 2.0
"""A bar of a moment is still seen."""
TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
TICKS_MOST = 8


@cache
def templates() -> Environment:
    """Escaping always, and an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )


def page(name: str, **values: Any) -> str:
    """A page."""
    return templates().get_template(f"{name}.html").render(**values)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent."""

    body: bytes
    media_type: str
    etag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """The few there are, by name: no path of a stranger's ever reaches the disk."""
    return {
        file.name: StaticFile(
            body := file.read_bytes(), TYPES[file.suffix], f'"{sha256(body).hexdigest()[:32]}"'
        )
        for file in sorted((HERE / "static").iterdir())
        if file.suffix in TYPES
    }


# ---------------------------------------------------------------------- the page of a call


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in the call's life. `kind` names its colour; the row's name says what it is."""

    row: str
    kind: str
    start: Instant
    end: Instant


def call_page(
    call: CallRecord,
    entries: Sequence[facts.Entry],
    now: Instant,
    zone: tzinfo,
    key: bytes | None,
    numbers: bool,
) -> str:
    """The story of one call. `numbers`: with the caller's name and number; else their keyed hash and last digits."""
    rows, chart = draw(list(spans(call, _end(call, entries, now))), call.arrived_at)
    return page(
        "call",
        call=call,
        sentence=outcome_sentence(call),
        as_of=_clock(now, zone, "%Y-%m-%d %H:%M:%S"),
        summary=summary(call, zone, key, numbers),
        rows=rows,
        chart=chart,
        story=[
            {
                "at": _clock(line.at, zone) + f".{line.at.utc_us % MICROSECONDS // 1000:03d}",
                "after": f"{line.offset_seconds:.3f} s",
                "what": line.what,
                "why": line.reason,
                "sequence": line.sequence,
            }
            for line in tell(entries)
        ],
    )


def _end(call: CallRecord, entries: Sequence[facts.Entry], now: Instant) -> Instant:
    """Where the time line ends: with the last thing that is known, of an open call with this moment (by UTC: it may be
    another machine's record)."""
    last = entries[-1].at
    if call.ended_at is not None:
        return last
    return last.plus(max(0.0, (now.utc_us - last.utc_us) / MICROSECONDS))


def summary(call: CallRecord, zone: tzinfo, key: bytes | None, numbers: bool) -> list[tuple[str, str]]:
    """What stands at the head of the page."""
    rows = [
        ("Kind", words.kind_of(call)),
        ("Arrived", _clock(call.arrived_at, zone, "%Y-%m-%d %H:%M:%S %Z")),
        ("Line", call.line),
        ("Queue and class", f"{call.queue or '-'}, {call.priority_class or '-'}"),
        ("Language", call.language + (", assisted" if call.assisted else "")),
        ("Caller", _caller(call, key, numbers)),
        ("Waited for the first person", _seconds(call.first_human_seconds)),
    ]
    if call.right_desk_seconds != call.first_human_seconds:
        rows.append(("Waited for the right desk", _seconds(call.right_desk_seconds)))
    rows += [
        ("Talked with the last", _seconds(call.talked_seconds)),
        ("Agents", ", ".join(map(words.who, call.agents)) or "nobody"),
    ]
    notes = [f"{note.kind} {note.value} {note.state}".strip() for note in call.annotations]
    return [*rows, *([("Attached", ", ".join(notes))] if notes else [])]


def _caller(call: CallRecord, key: bytes | None, numbers: bool) -> str:
    shown = caller.masked(call.caller_number, call.number_withheld)
    if numbers and call.caller_number:
        shown = call.caller_number
        return f"{shown} {call.caller_name}" if call.caller_name else shown
    known_as = caller.caller_id(key, call.caller_number)
    return f"{shown}, known as {known_as}" if known_as else shown


def spans(call: CallRecord, end: Instant) -> Iterator[Span]:
    """Every stretch, in the order in which rows are drawn. What lasts ends with the call, or with `end`."""
    over = call.ended_at or end
    yield from _waits(call, over)
    for announcement in call.announcements:
        yield Span("Announcements", "hold", announcement.started_at, announcement.ended_at or over)
    for offer in call.offers:
        until = offer.answered_at or offer.withdrawn_at or offer.ended_at or over
        yield Span(f"Rang: {_short(offer.agent)}", "ring", offer.made_at, until)
    if call.callback is not None:
        for attempt in call.callback.attempts:
            begun = attempt.dialled_at or attempt.intended_at
            until = attempt.answered_at or attempt.ended_at or over
            yield Span("Person rung", "ring", begun, until)
    for connection in call.connections:
        yield Span(f"Talked: {_short(connection.agent)}", "talk", connection.at, connection.ended_at or over)
    for hold in call.holds:
        yield Span("On hold", "hold", hold.started_at, hold.ended_at or over)
    for seen in call.supervisions:
        yield Span(f"Supervisor {seen.supervisor}", "away", seen.started_at, seen.ended_at or over)
    for wrap_up in call.wrap_ups:
        yield Span(f"Wrap-up: {wrap_up.agent}", "hold", wrap_up.started_at, wrap_up.ended_at or end)


def _waits(call: CallRecord, over: Instant) -> Iterator[Span]:
    """With nobody, on the line or off it."""
    since = call.arrived_at
    for connection in call.connections:
        yield Span("Waited", "wait", since, connection.at)
        since = connection.ended_at or over
    if since.monotonic_ns < over.monotonic_ns and (not call.connections or call.connections[-1].ended_at):
        yield Span("Waited", "wait", since, over)
    promise = call.callback
    if promise is not None and promise.off_line_at is not None:
        back = promise.off_line_at.plus(promise.off_line_seconds)
        yield Span("Off the line", "away", promise.off_line_at, over if promise.off_line_since else back)


def _short(agent: str | None) -> str:
    return words.who(agent).removeprefix("agent ")


def draw(found: Iterable[Span], begin: Instant) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of bars, and the ticks above them, in the units of the drawing."""
    found = [span for span in found if span.end.monotonic_ns >= span.start.monotonic_ns]
    if not found:
        return [], {}
    length = max(0.001, *(span.end.since(begin) for span in found))
    scale = (CHART_WIDTH - NAME_WIDTH - 40) / length
    names = list(dict.fromkeys(span.row for span in found))
    rows = [
        {
            "name": name,
            "y": HEAD_HEIGHT + ROW_HEIGHT * index,
            "bars": [_bar(span, begin, scale) for span in found if span.row == name],
        }
        for index, name in enumerate(names)
    ]
    step = next((step for step in TICK_SECONDS if length / step <= TICKS_MOST), TICK_SECONDS[-1])
    ticks = [
        {"x": round(NAME_WIDTH + at * scale, 1), "text": _offset(at)}
        for at in range(0, int(length) + 1, step)
    ]
    return rows, {"width": CHART_WIDTH, "height": HEAD_HEIGHT + ROW_HEIGHT * len(rows), "ticks": ticks}


def _bar(span: Span, begin: Instant, scale: float) -> dict[str, Any]:
    start, end = max(0.0, span.start.since(begin)), max(0.0, span.end.since(begin))
    return {
        "kind": span.kind,
        "x": round(NAME_WIDTH + start * scale, 1),
        "width": round(max(NARROWEST, (end - start) * scale), 1),
        "title": f"{span.row}: from {start:.1f} s to {end:.1f} s",
    }


def _offset(seconds: int) -> str:
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}"


def _clock(at: Instant, zone: tzinfo, form: str = "%H:%M:%S") -> str:
    return datetime.fromtimestamp(at.utc_us / MICROSECONDS, UTC).astimezone(zone).strftime(form)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
