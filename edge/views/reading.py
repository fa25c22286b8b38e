"""Reading a ledger in useful portions: the open state, the facts since a time, the story of one call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol, get_args

from edge.core.facts import (
    KINDS,
    WRAP_UP_ENDS,
    AlarmRaised,
    AssistAsked,
    CallArrived,
    CallbackAnswered,
    CallbackAttempted,
    CallbackAttemptEnded,
    CallbackPickedUp,
    CallbackPromised,
    CallbackRevoked,
    CallbackWaits,
    CallClassified,
    CallConnected,
    CallDiverted,
    CallEnded,
    CallFact,
    CallPassedOn,
    CallQueued,
    CallReturned,
    CallSentBack,
    CallTakenOver,
    CallTraced,
    CallTurnedAway,
    CallUpgraded,
    DiversionAnswered,
    Entry,
    Fact,
    FallbackConnected,
    FallbackEntered,
    GapEnded,
    GapTraced,
    SupervisionBegan,
    SupervisionEnded,
    SupervisorInvited,
    TaskOpened,
    WrapUpBroken,
    WrapUpCoded,
    WrapUpStarted,
)
from edge.core.state import State, replay
from edge.ledger.chain import Anchors
from edge.ledger.codec import Record, decode_entry, decode_state
from edge.ports import LedgerError

PAGE = 5000


class Reader(Protocol):
    """What a view needs of a ledger: `edge.ledger.store.SqlReader` and `edge.ledger.memory.MemoryLedger` have it."""

    def read(self, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with sequence greater than `after`, in order, at most `limit`."""

    def read_call(self, call_id: str) -> Sequence[Entry]:
        """Every entry about this call, in order."""

    def page(self, after: int | None, limit: int) -> tuple[Sequence[Record], Anchors]:
        """Records as they are stored, and the anchors seen at the same moment."""

    def last_sequence(self) -> int:
        """Sequence of the newest entry, 0 when empty."""

    def load_checkpoint(self) -> tuple[int, bytes] | None:
        """The newest checkpoint, or None."""


def entries(reader: Reader, after: int = 0) -> Iterator[Entry]:
    """Every entry after `after`, read page by page."""
    while page := reader.read(after, PAGE):
        yield from page
        after = page[-1].sequence


def entries_of(reader: Reader, kinds: Collection[type[Fact]], after: int = 0) -> Iterator[Entry]:
    """Every entry of these kinds after `after`; the others are never decoded, so a day is read in a moment."""
    names = {name for name, kind in KINDS.items() if kind in kinds}
    while records := reader.page(after, PAGE)[0]:
        yield from (decode_entry(r.row, r.personal) for r in records if r.row.kind in names)
        after = records[-1].row.sequence


def checkpoint_state(reader: Reader) -> State | None:
    """The newest checkpoint; None when there is none, or only one that another version made."""
    if (checkpoint := reader.load_checkpoint()) is None:
        return None
    sequence, held = checkpoint
    try:
        state = decode_state(held, State)
    except LedgerError:
        return None
    return state if state.sequence == sequence else None


def open_state(reader: Reader) -> State:
    """What is open now: the newest checkpoint and the facts after it, or all facts when no checkpoint can be used."""
    state = checkpoint_state(reader) or State()
    return replay(entries(reader, state.sequence), state)


def sequence_before(reader: Reader, utc_us: int) -> int:
    """Sequence of the last entry made before this time (0: none), in some twenty reads. A stepped clock makes it a guess."""
    return last_before(
        utc_us, reader.last_sequence(), lambda sequence: reader.read(sequence - 1, 1)[0].at.utc_us
    )


def last_before(utc_us: int, last: int, time_of: Callable[[int], int]) -> int:
    """The same where `time_of` reads when an entry was made. A time that a hole took is that of what follows."""
    return bisect_left(range(1, last + 1), utc_us, key=time_of)


STORY_FACTS = (
    *get_args(CallFact),
    WrapUpStarted,
    *WRAP_UP_ENDS,
    WrapUpCoded,
    AssistAsked,
    SupervisionBegan,
    SupervisionEnded,
    SupervisorInvited,
    AlarmRaised,
    TaskOpened,
)
"""Kinds of facts that records of calls are folded from."""
DAY_FACTS = (
    CallArrived,
    CallQueued,
    CallConnected,
    CallReturned,
    FallbackEntered,
    FallbackConnected,
    CallEnded,
    CallTraced,
    GapEnded,
    GapTraced,
    CallClassified,
    CallUpgraded,
    CallTurnedAway,
    CallDiverted,
    DiversionAnswered,
    CallPassedOn,
    CallTakenOver,
    CallSentBack,
    WrapUpBroken,
    SupervisionBegan,
    SupervisionEnded,
    AlarmRaised,
    CallbackPromised,
    CallbackRevoked,
    CallbackWaits,
    CallbackAttempted,
    CallbackAnswered,
    CallbackPickedUp,
    CallbackAttemptEnded,
)
"""What the figures of a day are made of, and the alarms of the last hour."""
FACTS_PER_CALL = 32


def windows(reader: Reader, calls: int) -> Iterator[Iterator[Entry]]:
    """Facts about calls from further and further back, beginning where some `calls` calls should be, ending with all."""
    last, span = reader.last_sequence(), FACTS_PER_CALL * calls
    while last > span:
        yield entries_of(reader, STORY_FACTS, last - span)
        span *= 4
    yield entries_of(reader, STORY_FACTS)


def call_ids(reader: Reader, ending: str) -> list[str]:
    """Ids of the calls that end with `ending`: one id when it is a whole one, otherwise by looking through the arrivals."""
    if reader.read_call(ending):
        return [ending]
    after, found = 0, []
    while records := reader.page(after, PAGE)[0]:
        found += [
            r.row.call_id
            for r in records
            if r.row.kind == "CallArrived" and r.row.call_id is not None and r.row.call_id.endswith(ending)
        ]
        after = records[-1].row.sequence
    return list(dict.fromkeys(found))


def whole_call(reader: Reader, call_id: str) -> list[Entry]:
    """Every entry about this call, the ends of its agents' wrap-ups too, which are facts about the agents."""
    told = {entry.sequence: entry for entry in reader.read_call(call_id)}
    for entry in tuple(told.values()):
        if isinstance(entry.fact, WrapUpStarted):
            told |= {end.sequence: end for end in _end_of_wrap_up(reader, entry.sequence, entry.fact.agent)}
    return [told[sequence] for sequence in sorted(told)]


def _end_of_wrap_up(reader: Reader, start: int, agent: str) -> Iterable[Entry]:
    """Within one page, as a wrap-up is short; a call is told without it otherwise."""
    for entry in reader.read(start, PAGE):
        if isinstance(entry.fact, WRAP_UP_ENDS) and entry.fact.agent == agent:
            return [entry]
    return []
