"""What metrics need of a call, as one row of fixed width: a million of them are read in a second.

Durations are whole nanoseconds, times whole microseconds of UTC; `NONE` where there is none. Nothing here is a decision about
what counts: every definition of `edge.metrics` chooses among these columns. No caller's number is here, only its keyed hash.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntFlag
from functools import cache
from typing import TYPE_CHECKING, Any

from edge.core.model import (
    NANOSECONDS,
    NOT_PEOPLE,
    CallOutcome,
    Instant,
    Side,
    Stage,
)
from edge.core.promise import AttemptOutcome
from edge.views.record import AnnouncementRecord, CallRecord, ConnectionRecord, PredictionRecord
from edge.views.shift import WAITED_TOO_LONG, Fate, fate_of

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

NONE = -1
OPEN_US = 2**62
"""The end of a call that has not ended: later than any."""
OTHER_BOOT_SECONDS = 60
FATES = tuple(Fate)
OUTCOMES = (None, *CallOutcome)
STAGES = (None, *Stage)
SIDES = (None, *Side)
ATTEMPTS = tuple(AttemptOutcome)


class Flag(IntFlag):
    """What is true of a call."""

    TEST = 1
    CONSULTATION = 2
    """A handler's own call on behalf of a caller who is counted already."""
    UPGRADED = 4
    WITHHELD = 8
    ADOPTED = 16
    """Found waiting: its true arrival was not seen, and the switch's own record has not told it since."""
    ASSISTED = 32
    FALLBACK = 64
    OFFERED_CALLBACK = 128
    PROMISED_CALLBACK = 256
    IN_VAIN = 512
    """Let go, or sent elsewhere, after having waited as long as its queue allows."""
    ABANDONED_IN_TRANSFER = 1024
    SHORT_NUMBER = 2048
    """The number presented is an extension: somebody inside."""
    IN_PROGRESS = 4096
    MEASURED_PREDICTION = 8192
    ACCEPTED_CALLBACK = 16384
    SENT_BACK = 32768


CALL_FIELDS: tuple[tuple[str, str], ...] = (
    ("number", "q"),
    ("contact", "q"),
    ("arrived_us", "q"),
    ("joined_us", "q"),
    ("first_us", "q"),
    ("ended_us", "q"),
    ("caller", "q"),
    ("wait_trunk_ns", "q"),
    ("wait_answer_ns", "q"),
    ("wait_announced_ns", "q"),
    ("wait_queue_ns", "q"),
    ("off_line_ns", "q"),
    ("right_desk_ns", "q"),
    ("talked_ns", "q"),
    ("held_ns", "q"),
    ("wrapped_ns", "q"),
    ("predicted_low_ns", "q"),
    ("predicted_high_ns", "q"),
    ("predicted_actual_ns", "q"),
    ("promised_us", "q"),
    ("quoted_low_ns", "q"),
    ("quoted_high_ns", "q"),
    ("reached_ns", "q"),
    ("reconnect_ns", "q"),
    ("line", "i"),
    ("queue", "i"),
    ("language", "i"),
    ("priority_class", "i"),
    ("code", "i"),
    ("first_agent", "i"),
    ("last_agent", "i"),
    ("flags", "I"),
    ("fate", "B"),
    ("outcome", "B"),
    ("stage", "B"),
    ("side", "B"),
    ("tier", "B"),
    ("connections", "B"),
    ("attempts", "B"),
    ("transfers", "B"),
    ("attempt_outcomes", f"{len(ATTEMPTS)}s"),
)
"""Columns of a call and their `struct` codes, no padding. The docstring of `call_row` says what each means."""
WORK_FIELDS: tuple[tuple[str, str], ...] = (
    ("number", "q"),
    ("started_us", "q"),
    ("talked_ns", "q"),
    ("held_ns", "q"),
    ("wrap_started_us", "q"),
    ("wrapped_ns", "q"),
    ("agent", "i"),
    ("line", "i"),
    ("queue", "i"),
    ("flags", "I"),
    ("tier", "B"),
)
"""Columns of one person's work on a call: talk with its holds, then wrap-up. `talked_ns` is NONE while it lasts."""
SPAN_FIELDS: tuple[tuple[str, str], ...] = (
    ("agent", "i"),
    ("state", "i"),
    ("started_us", "q"),
    ("ended_us", "q"),
)
"""Columns of one time that an agent was signed in, ready or not ready (`SIGNED_IN`, `READY`, else the reason)."""
SIGNED_IN = "signed in"
READY = "ready"
_CALL = struct.Struct("<" + "".join(code for _, code in CALL_FIELDS))
_WORK = struct.Struct("<" + "".join(code for _, code in WORK_FIELDS))

# as plain numbers: an enumeration's `|` takes a microsecond, and there are fifteen of them in a row
_ABANDONED_IN_TRANSFER = int(Flag.ABANDONED_IN_TRANSFER)
_ACCEPTED_CALLBACK = int(Flag.ACCEPTED_CALLBACK)
_ADOPTED = int(Flag.ADOPTED)
_ASSISTED = int(Flag.ASSISTED)
_CONSULTATION = int(Flag.CONSULTATION)
_FALLBACK = int(Flag.FALLBACK)
_IN_PROGRESS = int(Flag.IN_PROGRESS)
_IN_VAIN = int(Flag.IN_VAIN)
_MEASURED_PREDICTION = int(Flag.MEASURED_PREDICTION)
_OFFERED_CALLBACK = int(Flag.OFFERED_CALLBACK)
_PROMISED_CALLBACK = int(Flag.PROMISED_CALLBACK)
_SENT_BACK = int(Flag.SENT_BACK)
_SHORT_NUMBER = int(Flag.SHORT_NUMBER)
_TEST = int(Flag.TEST)
_UPGRADED = int(Flag.UPGRADED)
_WITHHELD = int(Flag.WITHHELD)
Word = Callable[[str], int]
"""A text as its number in the projection's list of words."""
Fields = tuple[tuple[str, str], ...]
"""Columns and their codes, as above."""


def nanoseconds(seconds: float | None) -> int:
    """Whole nanoseconds: exact for what a fact has as a float, which came of whole nanoseconds. NONE for None."""
    return NONE if seconds is None else round(seconds * NANOSECONDS)


def between_ns(earlier: Instant, later: Instant) -> int:
    """From one instant to the other by the monotonic clock; by UTC where another boot's clock lies between them."""
    monotonic_ns = later.monotonic_ns - earlier.monotonic_ns
    utc_ns = (later.utc_us - earlier.utc_us) * 1000
    return utc_ns if abs(monotonic_ns - utc_ns) > OTHER_BOOT_SECONDS * NANOSECONDS else monotonic_ns


def call_row(record: CallRecord, number: int, contact: int, caller: int, short: bool, word: Word) -> bytes:
    """The row of a call.

    `number`, `contact`: of the projection. `caller`: the keyed hash, 0 for none; `short`: presented an extension.
    `wait_*_ns`: from the named start of the clock to the first person, else the whole wait; NONE while it waits. From the trunk:
    since arrival. From the answer: since the caller was answered by the switch (0 where a person did that). After the
    announcement: since the end of the first one. Of a call-back they are gross: `off_line_ns` of them nobody was on the line.
    `right_desk_ns`: the waits for every person added up. `talked_ns`, `held_ns`, `wrapped_ns`: over all persons.
    `predicted_*`: the first expectation, and what the wait came to from then on. `quoted_*_ns`: the window expected when the
    call-back was promised, from the promise; `reached_ns`: from the promise until the person and a handler could speak;
    `reconnect_ns`: from the person's answer until then. `attempt_outcomes`: how many attempts ended so, by `ATTEMPTS`.
    `line`, `queue`, ...: words. `queue` and `tier` are those that count (`CallRecord.counted_queue`).
    """
    fate = fate_of(record)
    person = _first_person(record)
    waits = _waits(record, fate, person)
    return _CALL.pack(
        number,
        contact,
        record.arrived_at.utc_us,
        (record.joined_at or record.queued_at).utc_us,
        NONE if person is None else person.at.utc_us,
        OPEN_US if record.ended_at is None else record.ended_at.utc_us,
        caller,
        *waits,
        _off_line_ns(record),
        nanoseconds(record.right_desk_seconds),
        sum(max(0, _talked_ns(record, each)) for each in record.connections if each.reached),
        nanoseconds(record.held_seconds),
        sum(between_ns(w.started_at, w.ended_at) for w in record.wrap_ups if w.ended_at is not None),
        *_predicted(record, waits[-1]),
        *_promise(record),
        word(record.line),
        word(record.counted_queue),
        word(record.language),
        word(record.priority_class),
        word(record.wrap_up_codes[-1].code if record.wrap_up_codes else ""),
        word("" if person is None else person.agent or ""),
        word(record.agent or ""),
        _flags(record, fate, short),
        FATES.index(fate),
        OUTCOMES.index(record.outcome),
        STAGES.index(record.stage),
        SIDES.index(record.side),
        record.counted_tier,
        min(255, sum(each.reached for each in record.connections)),
        min(255, len(record.callback.attempts) if record.callback else 0),
        min(255, len(record.passed_on) + len(record.sent_back)),
        _attempt_outcomes(record),
    )


def work_rows(record: CallRecord, number: int, short: bool, word: Word) -> bytes:
    """The rows of everybody's work on a call, in order. Another force and the test phone are no agents of ours."""
    rows = []
    left = list(record.wrap_ups)
    for each in record.connections:
        if not each.reached or each.agent is None or each.agent in NOT_PEOPLE:
            continue
        wrap_up = next(
            (w for w in left if w.agent == each.agent and _not_before(w.started_at, each.at)), None
        )
        if wrap_up is not None:
            left.remove(wrap_up)
        ended = None if wrap_up is None else wrap_up.ended_at
        rows.append(
            _WORK.pack(
                number,
                each.at.utc_us,
                _talked_ns(record, each),
                _held_ns(record, each),
                NONE if wrap_up is None else wrap_up.started_at.utc_us,
                NONE if wrap_up is None or ended is None else between_ns(wrap_up.started_at, ended),
                word(each.agent),
                word(record.line),
                word(record.counted_queue),
                _flags(record, fate_of(record), short),
                record.counted_tier,
            )
        )
    return b"".join(rows)


def _not_before(at: Instant, start: Instant) -> bool:
    return at.utc_us >= start.utc_us


def _first_person(record: CallRecord) -> ConnectionRecord | None:
    return next((each for each in record.connections if each.reached), None)


def _waits(record: CallRecord, fate: Fate, person: ConnectionRecord | None) -> tuple[int, int, int, int]:
    """From trunk, answer, announcement and queue."""
    seconds = record.first_human_seconds if fate is Fate.ANSWERED else record.waited_seconds
    if seconds is None:
        return NONE, NONE, NONE, NONE
    joined = record.joined_at or record.queued_at
    queue = nanoseconds(seconds) + max(0, between_ns(joined, record.queued_at))
    trunk = queue + max(0, between_ns(record.arrived_at, joined))
    by_person = record.answered_at is None or (
        person is not None and record.answered_at.monotonic_ns >= person.at.monotonic_ns
    )
    answer = 0 if by_person or record.answered_at is None else queue - between_ns(joined, record.answered_at)
    told = _greeting(record)
    if told is None:
        announced = queue
    elif told.ended_at is None:
        announced = 0
    else:
        announced = queue - max(0, between_ns(joined, told.ended_at))
    return trunk, max(0, min(answer, trunk)), max(0, announced), queue


def _greeting(record: CallRecord) -> AnnouncementRecord | None:
    """The first announcement, but for one that tells a caller why they are sent away."""
    first = record.announcements[0] if record.announcements else None
    if first is None or (record.departures and _not_before(first.started_at, record.departures[0].at)):
        return None
    return first


def _off_line_ns(record: CallRecord) -> int:
    return nanoseconds(record.callback.off_line_seconds) if record.callback is not None else 0


def _talked_ns(record: CallRecord, connection: ConnectionRecord) -> int:
    if connection.ended_at is not None:
        return between_ns(connection.at, connection.ended_at)
    if record.ended_at is None:
        return NONE
    return nanoseconds(record.talked_seconds)


def _held_ns(record: CallRecord, connection: ConnectionRecord) -> int:
    until = connection.ended_at or record.ended_at
    total = 0
    for hold in record.holds:
        end = hold.ended_at or record.ended_at
        within = _not_before(hold.started_at, connection.at) and (
            until is None or _not_before(until, hold.started_at)
        )
        if end is not None and within:
            total += between_ns(hold.started_at, end)
    return total


def _predicted(record: CallRecord, wait_ns: int) -> tuple[int, int, int]:
    if not record.predictions:
        return NONE, NONE, NONE
    first = record.predictions[0]
    low, high = nanoseconds(first.low_seconds), nanoseconds(first.high_seconds)
    if wait_ns == NONE or record.first_human_seconds is None:
        return low, high, NONE
    return low, high, max(0, wait_ns - between_ns(record.joined_at or record.queued_at, first.at))


def _promise(record: CallRecord) -> tuple[int, int, int, int, int]:
    """When promised, the window quoted then, when reached, and how long the person who answered waited."""
    promise = record.callback
    if promise is None:
        return NONE, NONE, NONE, NONE, NONE
    low, high = _quoted(record, promise.promised_at)
    with_person = next(
        (c for c in record.connections if c.reached and _not_before(c.at, promise.promised_at)), None
    )
    if with_person is None:
        return promise.promised_at.utc_us, low, high, NONE, NONE
    answered = promise.attempts[-1].answered_at if promise.attempts else None
    reconnect = NONE if answered is None else max(0, between_ns(answered, with_person.at))
    return (
        promise.promised_at.utc_us,
        low,
        high,
        max(0, between_ns(promise.promised_at, with_person.at)),
        reconnect,
    )


def _quoted(record: CallRecord, promised_at: Instant) -> tuple[int, int]:
    """The last expectation before the promise, counted from the promise."""
    told: PredictionRecord | None = None
    for each in record.predictions:
        if _not_before(promised_at, each.at):
            told = each
    if told is None:
        return NONE, NONE
    passed = between_ns(told.at, promised_at)
    return max(0, nanoseconds(told.low_seconds) - passed), max(0, nanoseconds(told.high_seconds) - passed)


def _flags(record: CallRecord, fate: Fate, short: bool) -> int:
    flags = 0
    for flag, true in (
        (_TEST, record.test),
        (_CONSULTATION, record.consultation_of is not None),
        (_UPGRADED, record.upgraded),
        (_WITHHELD, record.number_withheld),
        (_ADOPTED, record.adopted and record.traced_by is None),
        (_ASSISTED, record.assisted),
        (_FALLBACK, record.fallback_at is not None),
        (_OFFERED_CALLBACK, bool(record.callback_offers)),
        (_ACCEPTED_CALLBACK, bool(record.dialogues)),
        (_PROMISED_CALLBACK, record.callback is not None),
        (_SENT_BACK, bool(record.sent_back)),
        (_IN_VAIN, bool(record.departures) and record.departures[-1].why == WAITED_TOO_LONG),
        (
            _ABANDONED_IN_TRANSFER,
            fate is Fate.ANSWERED and record.outcome is CallOutcome.ABANDONED,
        ),
        (_SHORT_NUMBER, short),
        (_IN_PROGRESS, record.ended_at is None),
        (_MEASURED_PREDICTION, bool(record.predictions) and record.predictions[0].measured),
    ):
        if true:
            flags |= flag
    return flags


def _attempt_outcomes(record: CallRecord) -> bytes:
    counts = [0] * len(ATTEMPTS)
    for attempt in record.callback.attempts if record.callback is not None else ():
        if attempt.outcome is not None:
            index = ATTEMPTS.index(attempt.outcome)
            counts[index] = min(255, counts[index] + 1)
    return bytes(counts)


@cache
def dtype(columns: Fields) -> numpy.dtype[Any]:
    """The same columns for numpy."""
    import numpy

    codes = {"q": "<i8", "i": "<i4", "I": "<u4", "B": "u1"}
    made = [
        (name, codes[code]) if code in codes else (name, "u1", (int(code[:-1]),)) for name, code in columns
    ]
    return numpy.dtype(made)


def array(columns: Fields, rows: Sequence[bytes]) -> Array:
    """Rows as made above, as a structured array."""
    import numpy

    return numpy.frombuffer(b"".join(rows), dtype=dtype(columns))


class Rows:
    """Some rows, column by column: a column is brought together when it is first looked at, once."""

    def __init__(self, names: Iterable[str], count: int, column: Callable[[str], Array]) -> None:
        """`column`: gives one by its name, with `count` values."""
        self._names = frozenset(names)
        self._count = count
        self._column = column
        self._columns: dict[str, Array] = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Array:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._column(name)
        return column

    def take(self, which: Array) -> Rows:
        """Those that a mask or an order names."""
        index = which.nonzero()[0] if which.dtype == bool else which
        return Rows(self._names, len(index), lambda name: self[name][index])


def rows_of(columns: Fields, packed: Sequence[bytes]) -> Rows:
    """Rows as made above."""
    import numpy

    made = array(columns, packed)
    return Rows(made.dtype.names or (), len(made), lambda name: numpy.ascontiguousarray(made[name]))


def rows_from(columns: Mapping[str, Array]) -> Rows:
    """Of columns that are there."""
    return Rows(columns, len(next(iter(columns.values()))), columns.__getitem__)


def space_for(columns: Fields, count: int) -> dict[str, Array]:
    """Columns of so many rows, to be filled."""
    import numpy

    kinds = dtype(columns)
    return {name: numpy.empty((count, *kinds[name].shape), kinds[name].base) for name, _ in columns}


def put(rows: Rows, into: Mapping[str, Array], at: int) -> None:
    """These from that row on."""
    for name, column in into.items():
        column[at : at + len(rows)] = rows[name]


def side_by_side(rows: Rows, columns: Fields) -> bytes:
    """Column after column."""
    return b"".join(rows[name].tobytes() for name, _ in columns)


def from_side_by_side(columns: Fields, packed: bytes, count: int, offset: int = 0) -> tuple[Rows, int]:
    """The same again, from this byte on, and the byte behind it."""
    import numpy

    kinds, places = dtype(columns), dict[str, int]()
    for name, _ in columns:
        places[name] = offset
        offset += count * kinds[name].itemsize

    def column(name: str) -> Array:
        kind = kinds[name]
        flat = numpy.frombuffer(
            packed, kind.base, count * (kind.itemsize // kind.base.itemsize), places[name]
        )
        return flat.reshape((count, *kind.shape))

    return Rows(places, count, column), offset
