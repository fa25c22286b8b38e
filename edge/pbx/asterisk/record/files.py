"""Reads the part of Asterisk's own record that belongs to a gap. Blocking: the adapter calls it in a thread.

The files grow for weeks and are rotated under us: the beginning is found by halving, and what is read is bounded. Whatever
is missing, damaged, compressed or too much is said in the answer, which is given in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from edge.core.effects import ReadTrace
from edge.core.inputs import TracedCall, TraceRead
from edge.core.model import MICROSECONDS, Policy
from edge.pbx.asterisk.record import translate, wire
from edge.ports import LedgerError

EVENTS_FILE = "cel-custom/edge101.csv"
DETAILS_FILE = "cdr-custom/edge101.csv"
QUEUE_FILE = "queue_log"
MOST_BYTES = 64 * 1024 * 1024
"""Of one file for one gap: some ten thousand calls."""
PROBE_BYTES = 64 * 1024
"""How far a line with a time on it is looked for."""
AFTER_SECONDS = 5.0
"""Lines are read so long beyond the end of the gap, as they are not strictly in order."""
LINES_BETWEEN_RESTS = 500
CALLS_IN_PORTION = 5
"""Some five milliseconds of the engine on a busy machine."""
REST_SECONDS = 0.001
"""The engine's loop has the processor in between."""

Row = TypeVar("Row")
Stamp = Callable[[bytes], int | None]


KnownCalls = Callable[[Collection[str]], Collection[str]]
"""Which of these calls the ledger has facts of. May raise `LedgerError`."""


def nobody_known(_: Collection[str]) -> Collection[str]:
    """Where there is no ledger to ask."""
    return ()


@dataclass(slots=True)
class _Part:
    """What was found of one file, and what was wrong with it."""

    lines: list[bytes] = field(default_factory=list)
    exists: bool = False
    troubles: list[str] = field(default_factory=list)


class TraceFiles:
    """The files of one Asterisk. `directory`: its log folder; None: it keeps no record."""

    def __init__(self, directory: str | None, policy: Policy, known_calls: KnownCalls = nobody_known) -> None:
        self._known_calls = known_calls
        self._directory = None if directory is None else Path(directory)
        self._policy = policy

    def read(self, asked: ReadTrace) -> TraceRead:
        """Every caller between the two times. Raises nothing that a file can bring about."""
        if self._directory is None:
            return _nothing(asked, "the switch keeps no record ([switch] keeps_record)")
        events_part = _part(self._directory / EVENTS_FILE, asked, wire.stamp_of_event)
        details_part = _part(self._directory / DETAILS_FILE, asked, wire.stamp_of_detail)
        queue_part = _part(self._directory / QUEUE_FILE, asked, wire.stamp_of_queue)
        troubles = list(events_part.troubles)
        events = _rows(events_part, wire.channel_event, troubles)
        details = _rows(details_part, wire.call_detail, [])
        queue = _rows(queue_part, wire.queue_event, [])
        calls, legs = translate.traced(events, queue, self._policy)
        whole = {call.call_id for call in calls if call.ended_utc_us is not None}
        still_open = {call.call_id for call in calls} - whole
        if not events_part.exists:
            troubles.append(f"{EVENTS_FILE} is not there")
        more = translate.from_details(details, queue, whole, self._policy)
        if more:
            troubles.append(f"{len(more)} callers are in {DETAILS_FILE} alone, or have their end there alone")
        told = {call.call_id for call in more}
        entered = {event.leg_id for event in queue if event.kind == "ENTERQUEUE" and event.is_ours}
        entered -= legs | {detail.leg_id for detail in details}
        if entered:
            troubles.append(
                f"{len(entered)} callers are in {QUEUE_FILE} alone, which does not tell who they are"
            )
        kept = [call for call in calls if call.call_id not in told or call.call_id not in still_open]
        found = list(_within([*kept, *more], asked))
        try:
            known = self._known_calls([call.call_id for call in found])
        except LedgerError as error:
            return _nothing(asked, f"who is known could not be looked up: {error}")
        return TraceRead(
            gap=asked.gap,
            calls=tuple(replace(call, known=call.call_id in known) for call in found),
            complete=not troubles,
            detail="; ".join(troubles),
        )


def portions(told: TraceRead) -> Iterator[TraceRead]:
    """The same in portions, the last of which says that it is the last."""
    calls = told.calls
    while len(calls) > CALLS_IN_PORTION:
        yield replace(told, calls=calls[:CALLS_IN_PORTION], more=True)
        calls = calls[CALLS_IN_PORTION:]
    yield replace(told, calls=calls, calls_seen=len(told.calls))


def _within(calls: list[TracedCall], asked: ReadTrace) -> Iterator[TracedCall]:
    return (call for call in calls if call.latest_utc_us >= asked.from_utc_us)


def _nothing(asked: ReadTrace, why: str) -> TraceRead:
    return TraceRead(gap=asked.gap, calls=(), complete=False, detail=why)


def _rows(part: _Part, parse: Callable[[bytes], Row | None], troubles: list[str]) -> list[Row]:
    rows, damaged = list[Row](), 0
    for number, line in enumerate(part.lines, start=1):
        row = parse(line)
        if row is not None:
            rows.append(row)
        else:
            damaged += 1
        if number % LINES_BETWEEN_RESTS == 0:
            time.sleep(REST_SECONDS)
    if damaged:
        troubles.append(f"{damaged} damaged lines")
    return rows


def _part(path: Path, asked: ReadTrace, stamp: Stamp) -> _Part:
    """The lines of this file, and of what rotation made of it, from the first time to the last."""
    part, left = _Part(), MOST_BYTES
    try:
        names = [other for other in path.parent.iterdir() if other.name.startswith(path.name)]
        found = sorted((other.stat().st_mtime_ns, other) for other in names)
    except OSError as error:
        part.troubles.append(f"{path.parent.name} cannot be read: {error.strerror}")
        return part
    part.exists = any(other == path for _, other in found)
    for changed_ns, other in found:
        if changed_ns // 1000 < asked.from_utc_us and other != path:
            continue  # rotated away before
        if other.suffix in (".gz", ".xz", ".bz2", ".zst"):
            part.troubles.append(f"{other.name} is compressed: not read")
            continue
        left = _read(other, asked, stamp, part, left)
    return part


def _read(path: Path, asked: ReadTrace, stamp: Stamp, part: _Part, left: int) -> int:
    """Adds the lines of one file; how many bytes may still be read of the others."""
    until_utc_us = asked.until_utc_us + round(AFTER_SECONDS * MICROSECONDS)
    try:
        with path.open("rb") as file:
            file.seek(_beginning(file, asked.from_utc_us, stamp))
            while line := file.readline(wire.LONGEST_LINE + 2):
                left -= len(line)
                if left < 0:
                    part.troubles.append(
                        f"more than {MOST_BYTES >> 20} MiB of {path.name}: the rest is not read"
                    )
                    break
                if not line.endswith(b"\n"):
                    if len(line) <= wire.LONGEST_LINE:
                        break  # the end: whole or not, it is being written
                    _skip_line(file)
                at = stamp(line)
                if at is not None and at > until_utc_us:
                    break
                part.lines.append(line.rstrip(b"\r\n"))
    except OSError as error:
        part.troubles.append(f"{path.name} cannot be read: {error.strerror}")
    return left


def _skip_line(file: BinaryIO) -> None:
    """A line longer than any of ours is: to its end, without keeping it."""
    while (rest := file.readline(PROBE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _beginning(file: BinaryIO, utc_us: int, stamp: Stamp) -> int:
    """Where to begin to read: a position at or before the first line of this time or later, found by halving."""
    low, high = 0, file.seek(0, 2)
    while high - low > PROBE_BYTES:
        middle = (low + high) // 2
        at = _next_stamp(file, middle, stamp)
        if at is not None and at < utc_us:
            low = middle
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline()  # the rest of a line
    return file.tell()


def _next_stamp(file: BinaryIO, position: int, stamp: Stamp) -> int | None:
    file.seek(position)
    for line in file.read(PROBE_BYTES).split(b"\n")[1:]:
        if (at := stamp(line)) is not None:
            return at
    return None
