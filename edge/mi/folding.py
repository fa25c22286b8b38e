"""Folds of a projection beside that of calls: when agents were at work, when the switch, the ledger or the clock was not to be
relied on, and what happened that explains figures. Each keeps what is open, so that it goes on where it was put away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edge.core import facts
from edge.core.model import Blindness, ClockState
from edge.mi.columns import READY, SIGNED_IN


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One time of an agent. `state`: `SIGNED_IN` (from signing in to signing out), `READY`, else why they were not ready."""

    agent: str
    state: str
    started_us: int
    ended_us: int


@dataclass(slots=True, kw_only=True)
class Desk:
    """An agent as of the last fact. `reason`: why not ready, None where ready; it outlives being signed out, as in the engine."""

    agent: str
    signed_in_us: int | None = None
    reason: str | None = None
    since_us: int = 0
    """Since when they are ready, or not ready for that reason."""


AGENT_FACTS = (
    facts.AgentSignedIn,
    facts.AgentSignedOut,
    facts.AgentBecameReady,
    facts.AgentBecameNotReady,
)


class AgentFold:
    """When agents were signed in, ready and not ready. What they did with calls is in the calls."""

    def __init__(self, desks: Iterable[Desk] = ()) -> None:
        self.desks = {desk.agent: desk for desk in desks}

    def add(self, entry: facts.Entry) -> list[Span]:
        """Fold one fact; the times that it ended."""
        fact, at = entry.fact, entry.at.utc_us
        if not isinstance(fact, AGENT_FACTS):
            return []
        desk = self.desks.setdefault(fact.agent, Desk(agent=fact.agent))
        match fact:
            case facts.AgentSignedIn() if desk.signed_in_us is None:
                desk.signed_in_us = desk.since_us = at
            case facts.AgentSignedOut():
                ended = [*self._state(desk, at), *self._signed_in(desk, at)]
                desk.signed_in_us = desk.reason = None
                return ended
            case facts.AgentBecameReady() if desk.reason is not None:
                return self._turn(desk, None, at)
            case facts.AgentBecameNotReady(reason=reason) if desk.reason != reason:
                return self._turn(desk, reason, at)
        return []

    def _turn(self, desk: Desk, reason: str | None, at: int) -> list[Span]:
        ended = self._state(desk, at)
        desk.reason, desk.since_us = reason, at
        return ended

    def _state(self, desk: Desk, at: int) -> list[Span]:
        if desk.signed_in_us is None or at <= desk.since_us:
            return []
        state = READY if desk.reason is None else desk.reason
        return [Span(agent=desk.agent, state=state, started_us=desk.since_us, ended_us=at)]

    def _signed_in(self, desk: Desk, at: int) -> list[Span]:
        if desk.signed_in_us is None or at <= desk.signed_in_us:
            return []
        return [Span(agent=desk.agent, state=SIGNED_IN, started_us=desk.signed_in_us, ended_us=at)]

    def open_spans(self, until_us: int) -> list[Span]:
        """The times that go on, as if they ended at this time."""
        return [
            span
            for desk in self.desks.values()
            for span in (*self._state(desk, until_us), *self._signed_in(desk, until_us))
        ]


class Hole(StrEnum):
    """What could not be relied on."""

    SWITCH = "switch"
    """Calls were not seen: the switch was lost, or the daemon was not there."""
    LEDGER = "ledger"
    """Facts could not be written when they were made; what was lost is named in `detail`."""
    CLOCK = "clock"
    """The clock was not synchronised: times may be off, durations are not."""


@dataclass(slots=True, kw_only=True)
class HoleRecord:
    """From when until when. `ended_us`: None while it lasts."""

    sequence: int
    """Of the fact that began it."""
    hole: Hole
    detail: str
    started_us: int
    ended_us: int | None = None
    gap: int | None = None
    """The number of the daemon's own account of it."""
    traced: bool = False
    """The switch's own record has told all that happened in it."""


HOLE_FACTS = (
    facts.DaemonStopped,
    facts.DaemonStarted,
    facts.SwitchLost,
    facts.SwitchRestored,
    facts.FactsLost,
    facts.LedgerTroubleBegan,
    facts.LedgerTroubleEnded,
    facts.ClockChanged,
    facts.GapEnded,
    facts.GapTraced,
)


class HoleFold:
    """When something could not be relied on."""

    def __init__(
        self, kept: Iterable[HoleRecord] = (), first_us: int | None = None, last_us: int | None = None
    ) -> None:
        """`kept`: holes that last or are to be traced."""
        kept = list(kept)
        self.lasting = {hole.hole: hole for hole in kept if hole.ended_us is None}
        self.untraced = {
            hole.gap: hole for hole in kept if hole.ended_us is not None and hole.gap is not None
        }
        """Gaps that are over, by number."""
        self.first_us, self.last_us = first_us, last_us
        """When the first and the newest fact were made."""

    def add(self, entry: facts.Entry) -> list[HoleRecord]:
        """Fold one fact; the holes that it began, ended or described."""
        changed = self._add(entry) if isinstance(entry.fact, HOLE_FACTS) else []
        self.note_time(entry.at.utc_us)
        return changed

    def note_time(self, at_us: int) -> None:
        """A fact was made then, whatever it says."""
        self.first_us = at_us if self.first_us is None else self.first_us
        self.last_us = at_us

    def _add(self, entry: facts.Entry) -> list[HoleRecord]:
        match entry.fact:
            case facts.DaemonStopped(why=why):
                return self._begin(entry, Hole.SWITCH, f"the daemon stopped: {why}")
            case facts.DaemonStarted(alive_at=alive_at) if self.last_us is not None:
                seen_us = self.last_us if alive_at is None else max(self.last_us, alive_at.utc_us)
                return [
                    *self._end(
                        entry, Hole.LEDGER, "the daemon ended in it, and what it had only in memory is lost"
                    ),
                    *self._begin(entry, Hole.SWITCH, "the daemon was killed", seen_us),
                ]
            case facts.SwitchLost(link=link):
                return self._begin(entry, Hole.SWITCH, f"{link} was lost")
            case facts.GapEnded(why=why) if why is not Blindness.FIRST_START:
                return self._gap(entry, entry.fact)
            case facts.GapTraced(gap=number, complete=True) if number in self.untraced:
                hole = self.untraced.pop(number)
                hole.traced = True
                return [hole]
            case facts.SwitchRestored():
                return self._end(entry, Hole.SWITCH)
            case facts.FactsLost():
                return [_lost(entry, entry.fact)]
            case facts.LedgerTroubleBegan(detail=detail):
                return self._begin(entry, Hole.LEDGER, detail)
            case facts.LedgerTroubleEnded(detail=detail):
                return self._end(entry, Hole.LEDGER, detail)
            case facts.ClockChanged(state=ClockState.SYNCHRONISED):
                return self._end(entry, Hole.CLOCK)
            case facts.ClockChanged(state=state):
                return self._begin(entry, Hole.CLOCK, state.value)
        return []

    def _gap(self, entry: facts.Entry, gap: facts.GapEnded) -> list[HoleRecord]:
        """The daemon's own account of a time without sight is better than what was reckoned. A standstill has no other."""
        said = f"{gap.why.value}; its beginning is known by: {gap.bound.value}"
        if Hole.SWITCH not in self.lasting:
            self._begin(entry, Hole.SWITCH, said, gap.since.utc_us)
            said = ""
        hole = self.untraced[gap.gap] = self.lasting[Hole.SWITCH]
        hole.started_us, hole.gap = gap.since.utc_us, gap.gap
        return self._end(entry, Hole.SWITCH, said)

    def _begin(
        self, entry: facts.Entry, hole: Hole, detail: str, started_us: int | None = None
    ) -> list[HoleRecord]:
        if hole in self.lasting:
            return []
        begun = HoleRecord(
            sequence=entry.sequence,
            hole=hole,
            detail=detail,
            started_us=entry.at.utc_us if started_us is None else started_us,
        )
        self.lasting[hole] = begun
        return [begun]

    def _end(self, entry: facts.Entry, hole: Hole, detail: str = "") -> list[HoleRecord]:
        ended = self.lasting.pop(hole, None)
        if ended is None:
            return []
        ended.ended_us = entry.at.utc_us
        ended.detail = "; ".join(filter(None, (ended.detail, detail)))
        return [ended]


def _lost(entry: facts.Entry, lost: facts.FactsLost) -> HoleRecord:
    """Facts that were there once, and that a damaged file lost: from the fact before them to the one after."""
    return HoleRecord(
        sequence=entry.sequence,
        hole=Hole.LEDGER,
        detail=f"a damaged file lost the facts {lost.first} to {entry.sequence}: {lost.why}",
        started_us=entry.at.utc_us,
        ended_us=(lost.until or lost.mended_at).utc_us,
    )


class Mark(StrEnum):
    """What happened that explains figures, beside what could not be relied on."""

    INCIDENT = "incident"
    """A major incident was declared."""
    ALARM = "alarm"
    """A person had to look; of what kind it was is in `detail`."""
    CLOCK = "clock"
    """The clock was set or turned; by how much is in `detail`."""


@dataclass(slots=True, kw_only=True)
class MarkRecord:
    """From when until when; the same where it took no time. `ended_us`: None while it lasts. Of nobody in particular."""

    sequence: int
    """Of the fact that began it."""
    mark: Mark
    detail: str
    started_us: int
    ended_us: int | None


MARK_FACTS = (
    facts.IncidentDeclared,
    facts.IncidentEnded,
    facts.AlarmRaised,
    facts.ClockStepped,
    facts.ClockSlewed,
)


class MarkFold:
    """What happened, as far as figures may show it."""

    def __init__(self, incident: MarkRecord | None = None) -> None:
        """`incident`: that lasts."""
        self.incident = incident

    def add(self, entry: facts.Entry) -> list[MarkRecord]:
        """Fold one fact; what it began or ended."""
        match entry.fact:
            case facts.IncidentDeclared() if self.incident is None:
                self.incident = self._mark(entry, Mark.INCIDENT, "", None)
                return [self.incident]
            case facts.IncidentEnded() if self.incident is not None:
                ended, self.incident = self.incident, None
                ended.ended_us = entry.at.utc_us
                return [ended]
            case facts.AlarmRaised(kind=kind):
                return [self._mark(entry, Mark.ALARM, kind, entry.at.utc_us)]
            case facts.ClockStepped(seconds=seconds):
                return [self._mark(entry, Mark.CLOCK, f"set by {seconds:+.3f} s", entry.at.utc_us)]
            case facts.ClockSlewed(seconds=seconds, over_seconds=over):
                said = f"turned by {seconds:+.3f} s within {over:.0f} s"
                return [self._mark(entry, Mark.CLOCK, said, entry.at.utc_us)]
        return []

    @staticmethod
    def _mark(entry: facts.Entry, mark: Mark, detail: str, ended_us: int | None) -> MarkRecord:
        return MarkRecord(
            sequence=entry.sequence, mark=mark, detail=detail, started_us=entry.at.utc_us, ended_us=ended_us
        )
