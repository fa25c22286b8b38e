"""The figures of a day, counted as it goes: a call is kept as a record while it is open, and as a number once it has ended.

Of a call that a gap hid, the switch's own record may tell more after its end: it is kept until that was read.

The definitions are those of `edge.views.shift`, to which a test holds them; a busy day costs as little to look at as a quiet one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from zoneinfo import ZoneInfo

from edge.core import facts
from edge.core.model import MICROSECONDS, CallOutcome, Instant
from edge.metrics.periods import local, midnight
from edge.views.calls import CallFold, CallRecord
from edge.views.queues import DEFAULT_TARGET_SECONDS
from edge.views.record import AlarmRecord
from edge.views.shift import Fate, fate_of, is_lost

Key = tuple[int, str]
"""Tier and queue."""
Age = Callable[[Instant], float]
"""Seconds since an instant."""

RECENT_SECONDS = 1800.0
"""What "now" means for a service level: the last half hour."""
ALARM_SECONDS = 3600.0
"""How long an alarm is shown."""
RESULTS_MOST, ALARMS_MOST = 50_000, 1_000
"""More than one queue can have in half an hour, or a room in an hour; beyond it the oldest is forgotten."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Calls counted. Seconds are waits from joining the queue to the first person."""

    offered: int = 0
    answered: int = 0
    lost: int = 0
    """Abandoned, end unknown, unreached, or let go after they had waited as long as the queue allows."""
    abandoned: int = 0
    sent_away: int = 0
    """Refused, turned away or sent elsewhere."""
    promised: int = 0
    kept: int = 0
    within: int = 0
    """Answered in less than the target."""
    waits: int = 0
    """Answered calls whose wait is known."""
    wait_seconds: float = 0.0
    """Of those, added up."""
    longest_seconds: float = 0.0

    def add(self, record: CallRecord, target_seconds: float) -> None:
        """Count one call."""
        fate, seconds = fate_of(record), record.first_human_seconds
        self.offered += 1
        self.answered += fate is Fate.ANSWERED
        self.abandoned += fate is Fate.ABANDONED
        self.lost += is_lost(record)
        self.sent_away += fate in (Fate.REFUSED, Fate.TURNED_AWAY, Fate.OVERFLOWED)
        self.promised += record.callback is not None
        self.kept += record.callback is not None and fate is Fate.ANSWERED
        if fate is Fate.ANSWERED and seconds is not None:
            self.waits += 1
            self.within += seconds < target_seconds
            self.wait_seconds += seconds
            self.longest_seconds = max(self.longest_seconds, seconds)

    def __add__(self, other: Tally) -> Tally:
        """Both in one."""
        total = Tally(
            **{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(Tally)}
        )
        total.longest_seconds = max(self.longest_seconds, other.longest_seconds)
        return total

    @property
    def service_level(self) -> float | None:
        """As `Summary.service_level` (SL3: every loss counts against it), None before there is any result."""
        results = self.answered + self.lost
        return self.within / results if results else None

    @property
    def mean_seconds(self) -> float | None:
        """Mean wait of those who were answered."""
        return self.wait_seconds / self.waits if self.waits else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The service level now: of the calls answered or lost in the last half hour, and of those that wait longer than their
    target already, how many were answered in less than it."""

    within: int
    of: int

    @property
    def share(self) -> float | None:
        """None where nothing happened."""
        return self.within / self.of if self.of else None


class Day:
    """The local day of the newest look, and the last half hour. Facts are given in order; `through` is the last of them."""

    def __init__(
        self,
        zone: ZoneInfo,
        targets: Mapping[str, float],
        now: Instant,
        through: int = 0,
        history: Callable[[str], Sequence[facts.Entry]] = lambda _: (),
    ) -> None:
        """`targets`: queue -> target seconds. `through`: the fact before the first that will be given. `history`: every fact of
        a call, for those that arrived before."""
        self._history = history
        self._zone = zone
        self._targets = targets
        self._fold = CallFold()
        self._tallies: defaultdict[Key, Tally] = defaultdict(Tally)
        self._results: defaultdict[Key, deque[tuple[int, bool]]] = defaultdict(
            lambda: deque(maxlen=RESULTS_MOST)
        )
        self._noted: dict[str, tuple[int, bool]] = {}
        """Of the calls that are kept: what stands of them in `_results`."""
        self._untraced: set[int] = set()
        """Gaps of which the switch's own record has not been read."""
        self._alarms: deque[AlarmRecord] = deque(maxlen=ALARMS_MOST)
        self.begins_utc_us = midnight_utc_us(now, zone)
        self.through = through

    def add(self, entry: facts.Entry) -> None:
        """Fold one fact."""
        self.through, fact = entry.sequence, entry.fact
        if (call_id := getattr(fact, "call_id", None)) and not isinstance(fact, facts.CallArrived):
            self.recall(call_id, entry.sequence)
        self._fold.add(entry)
        if isinstance(fact, facts.AlarmRaised):
            self._alarms.append(
                AlarmRecord(at=entry.at, kind=fact.kind, detail=fact.detail, call_id=fact.call_id)
            )
        if isinstance(fact, facts.GapEnded):
            self._untraced.add(fact.gap)
        if isinstance(fact, facts.GapTraced):
            self._untraced.discard(fact.gap)
            if not self._untraced:
                self._close_ended()
        record = self._fold.calls.get(getattr(fact, "call_id", None) or "")
        if record is None:
            return
        if record.counts:
            self._note_result(record, entry)
        if record.ended_at is not None and not _may_be_corrected(record):
            self._close(record)

    def recall(self, call_id: str, before: int) -> None:
        """Know of a call what happened before this fact, unless it is known, or had ended."""
        if call_id in self._fold.calls:
            return
        earlier = [entry for entry in self._history(call_id) if entry.sequence < before]
        if not any(isinstance(entry.fact, facts.CallEnded) for entry in earlier):
            for entry in earlier:
                self._fold.add(entry)
            if (record := self._fold.calls.get(call_id)) is not None and fate_of(record) is Fate.ANSWERED:
                self._noted[call_id] = 0, False  # before what is shown began

    def _note_result(self, record: CallRecord, entry: facts.Entry) -> None:
        """An answer or a loss, when it happens, once for each call; what the switch's own record tells takes its place."""
        fate, seconds = fate_of(record), record.first_human_seconds
        is_answer = fate is Fate.ANSWERED
        noted = self._noted.get(record.call_id)
        if not (is_answer or is_lost(record)) or (noted and not isinstance(entry.fact, facts.CallTraced)):
            return
        within = is_answer and seconds is not None and seconds < self.target_seconds(record.counted_queue)
        results = self._results[_key(record)]
        if noted is None:
            results.append((entry.at.utc_us, within))
        elif noted in results:
            results[results.index(noted)] = noted[0], within
        self._noted[record.call_id] = entry.at.utc_us if noted is None else noted[0], within

    def _close_ended(self) -> None:
        """Nothing more will be told of those that have ended."""
        for record in tuple(self._fold.calls.values()):
            if record.ended_at is not None:
                self._close(record)

    def _close(self, record: CallRecord) -> None:
        """An ended call is only a number from now on."""
        del self._fold.calls[record.call_id]
        self._noted.pop(record.call_id, None)
        if record.counts and record.arrived_at.utc_us >= self.begins_utc_us:
            self._tallies[_key(record)].add(record, self.target_seconds(record.counted_queue))

    def turn(self, now: Instant) -> None:
        """Begin a new day where midnight has come, and forget what is too old to be shown."""
        if (begins := midnight_utc_us(now, self._zone)) > self.begins_utc_us:
            self._close_ended()
            self.begins_utc_us = begins
            self._tallies.clear()
        oldest = now.utc_us - int(RECENT_SECONDS * MICROSECONDS)
        for results in self._results.values():
            while results and results[0][0] < oldest:
                results.popleft()
        oldest = now.utc_us - int(ALARM_SECONDS * MICROSECONDS)
        while self._alarms and self._alarms[0].at.utc_us < oldest:
            self._alarms.popleft()

    def target_seconds(self, queue: str) -> float:
        """The target of a queue."""
        return self._targets.get(queue, DEFAULT_TARGET_SECONDS)

    @property
    def keys(self) -> set[Key]:
        """Tiers and queues that there is anything to say of."""
        recent = {key for key, results in self._results.items() if results}
        return {*self._tallies, *recent, *(_key(record) for record in self._kept())}

    def today(self, key: Key) -> Tally:
        """Of the calls that arrived today, open ones included."""
        tally = Tally() + self._tallies.get(key, Tally())
        for record in self._kept():
            if _key(record) == key and record.arrived_at.utc_us >= self.begins_utc_us:
                tally.add(record, self.target_seconds(key[1]))
        return tally

    def recent(self, key: Key, age: Age) -> Recent:
        """Of the last half hour."""
        results = self._results.get(key, ())
        late = sum(
            _key(record) == key
            and fate_of(record) is Fate.WAITING
            and age(record.queued_at) >= self.target_seconds(key[1])
            for record in self._kept()
        )
        return Recent(within=sum(within for _, within in results), of=len(results) + late)

    @property
    def alarms(self) -> list[AlarmRecord]:
        """Those of the last hour, the newest first."""
        return list(reversed(self._alarms))

    @property
    def calls_kept(self) -> int:
        """How many calls are kept as records: those that are open, and those of which more may be told."""
        return len(self._fold.calls)

    def _kept(self) -> list[CallRecord]:
        return [record for record in self._fold.calls.values() if record.counts]


def _may_be_corrected(record: CallRecord) -> bool:
    """Whether a gap hid part of it, so that the switch's own record may tell more."""
    return record.adopted or record.outcome is CallOutcome.ENDED_UNKNOWN


def _key(record: CallRecord) -> Key:
    return record.counted_tier, record.counted_queue


def midnight_utc_us(at: Instant, zone: ZoneInfo) -> int:
    """The beginning of the local day that `at` is in."""
    return midnight(local(at.utc_us, zone).date(), zone)
