"""Lines of Asterisk's own record as rows: channel events (cel_custom), call records (cdr_custom) and the queue log. Pure.

A line may be cut short, damaged, of any length and in no encoding at all: it is then no row. Whoever writes into a SIP header
writes, in the end, into these files; nothing of a row is believed before `translate` has looked at it.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

LONGEST_LINE = 4096
"""Bytes; what the dialplan lets into a line has some hundred."""
EVENT_FIELDS = 9
RECORD_FIELDS = 10
QUEUE_FIELDS = 5
_TIME = re.compile(r"(\d{1,11})\.(\d{6})")
_SECONDS = re.compile(r"\d{1,11}")
_FIRST_TIME = re.compile(rb'"(\d{9,11})\.(\d{6})"')


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """One event of a channel. `field`: what our dialplan wrote on it; `extra`: JSON, as it is."""

    kind: str
    utc_us: int
    leg_id: str
    name: str
    app: str
    field: str
    extra: str


@dataclass(frozen=True, slots=True)
class CallDetail:
    """One record of a call and whom it was connected to. Times are 0 where it did not happen."""

    leg_id: str
    other: str
    start_utc_us: int
    answer_utc_us: int
    end_utc_us: int
    disposition: str
    field: str


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One line of the queue log, in whole seconds."""

    utc_us: int
    leg_id: str
    queue: str
    agent: str
    kind: str

    @property
    def is_ours(self) -> bool:
        """Whether it is of a queue of the generated queues.conf."""
        return self.queue.startswith("edge-")


def channel_event(line: bytes) -> ChannelEvent | None:
    """A line of cel-custom/edge101.csv, or None."""
    fields = _fields(line, EVENT_FIELDS)
    if fields is None or (utc_us := microseconds(fields[1])) is None:
        return None
    kind, _, leg_id, _, name, _, app, field, extra = fields
    return ChannelEvent(kind, utc_us, leg_id, name, app, field, extra)


def call_detail(line: bytes) -> CallDetail | None:
    """A line of cdr-custom/edge101.csv, or None."""
    fields = _fields(line, RECORD_FIELDS)
    if fields is None:
        return None
    leg_id, _, _, other, start, answer, end, disposition, _, field = fields
    times = [microseconds(text) for text in (start, answer, end)]
    if times[0] is None or times[2] is None:
        return None
    return CallDetail(leg_id, other, times[0], times[1] or 0, times[2], disposition, field)


def queue_event(line: bytes) -> QueueEvent | None:
    """A line of queue_log, or None. What stands behind its first five fields (numbers of callers) is not read."""
    if len(line) > LONGEST_LINE:
        return None
    fields = line.decode("utf-8", "replace").split("|", QUEUE_FIELDS)
    if len(fields) < QUEUE_FIELDS or not _SECONDS.fullmatch(fields[0]):
        return None
    seconds, leg_id, queue, agent, rest = fields[:QUEUE_FIELDS]
    return QueueEvent(int(seconds) * 1_000_000, leg_id, queue, agent, rest.partition("|")[0].strip())


def microseconds(text: str) -> int | None:
    """Seconds since 1970 with six decimals, as Asterisk writes times of UTC; None for anything else."""
    found = _TIME.fullmatch(text)
    return int(found[1]) * 1_000_000 + int(found[2]) if found else None


def stamp_of_event(line: bytes) -> int | None:
    """The time of a line of channel events, whether or not the rest of it is sound."""
    found = _FIRST_TIME.search(line)
    return int(found[1]) * 1_000_000 + int(found[2]) if found else None


def stamp_of_detail(line: bytes) -> int | None:
    """The time at which a call record was written: the latest in it, as a record is written at its end."""
    return max((int(a) * 1_000_000 + int(b) for a, b in _FIRST_TIME.findall(line)), default=None)


def stamp_of_queue(line: bytes) -> int | None:
    """The time of a line of the queue log."""
    event = queue_event(line)
    return None if event is None else event.utc_us


def _fields(line: bytes, count: int) -> list[str] | None:
    if len(line) > LONGEST_LINE:
        return None
    text = line.decode("utf-8", "replace")
    if "\x00" in text:
        return None
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 and len(rows[0]) == count else None
