"""The story of one call: what happened, when and why, in lines a person can read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.core import facts
from edge.core.model import CallOutcome, CallState, Instant, OfferOutcome, Side, Stage
from edge.views.calls import CallRecord, OfferRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLine:
    """One fact: when it was (`offset_seconds` after the call arrived), what happened, and why."""

    sequence: int
    at: Instant
    switch_utc_us: int | None
    offset_seconds: float
    kind: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision about a call and the facts that it made."""

    at: Instant
    offset_seconds: float
    reason: str
    sequences: tuple[int, ...]


def tell(entries: Sequence[facts.Entry]) -> list[StoryLine]:
    """The lines of the story of the call that these entries are about."""
    return [
        StoryLine(
            sequence=entry.sequence,
            at=entry.at,
            switch_utc_us=entry.switch_utc_us,
            offset_seconds=entry.at.since(entries[0].at),
            kind=type(entry.fact).__name__,
            what=describe(entry.fact),
            reason=entry.reason,
        )
        for entry in entries
    ]


def decisions(entries: Sequence[facts.Entry]) -> list[Decision]:
    """One line per decision: entries made at the same moment for the same reason are one."""
    made: list[Decision] = []
    for entry in entries:
        if made and made[-1].reason == entry.reason and made[-1].at == entry.at:
            last = made.pop()
            sequences = (*last.sequences, entry.sequence)
        else:
            sequences = (entry.sequence,)
        made.append(
            Decision(
                at=entry.at,
                offset_seconds=entry.at.since(entries[0].at),
                reason=entry.reason,
                sequences=sequences,
            )
        )
    return made


STAGES = {
    Stage.ANNOUNCEMENT: "during the greeting",
    Stage.QUEUE: "in the queue",
    Stage.RINGING: "while an agent's phone rang",
    Stage.CONNECTING: "while being connected",
    Stage.FALLBACK: "in the switch's own queue",
    Stage.TALKING: "while talking",
}
SIDES = {
    Side.CALLER: "the caller hung up",
    Side.AGENT: "the agent hung up",
    Side.SYSTEM: "the system ended it",
    Side.UNKNOWN: "who hung up was not seen",
}
STATES = {
    CallState.WAITING: "is waiting in the queue",
    CallState.OFFERED: "is waiting while an agent's phone rings",
    CallState.CONNECTING: "is being connected to an agent",
    CallState.FALLBACK: "is in the switch's own queue",
}


def outcome_sentence(call: CallRecord) -> str:
    """What became of the call, in one plain sentence."""
    match call.outcome:
        case None if call.connected_at is not None:
            return f"The call is open: talking to {_whom(call)} after a wait of {_seconds(call.waited_seconds)}{_path(call)}."
        case None:
            return f"The call is open: it {STATES[call.state]}, since {_clock(call.queued_at)}{_path(call)}."
        case CallOutcome.ANSWERED:
            assert call.side is not None
            return (
                f"The call was answered by {_whom(call)} after a wait of {_seconds(call.waited_seconds)}{_path(call)}; "
                f"they talked for {_seconds(call.talked_seconds)} and {SIDES[call.side]}."
            )
        case CallOutcome.ABANDONED:
            assert call.stage is not None
            return (
                f"The call was not answered: it ended {STAGES[call.stage]} after a wait of "
                f"{_seconds(call.waited_seconds)}{_path(call)}; {SIDES[call.side or Side.UNKNOWN]}."
            )
        case CallOutcome.ENDED_UNKNOWN:
            return f"The end of the call was not seen: it fell {_between(call)}{_path(call)}."


def _whom(call: CallRecord) -> str:
    return "an agent whom the switch did not name" if call.agent is None else f"agent {call.agent}"


def _path(call: CallRecord) -> str:
    """What stood in the way, for the sentence: offers that nobody took, returns, the fallback."""
    parts = []
    if refused := [offer for offer in call.offers if _refused(offer)]:
        parts.append("offered in vain to " + ", ".join(f"{o.agent} ({o.outcome})" for o in refused))
    if call.returned_at:
        times = "once" if len(call.returned_at) == 1 else f"{len(call.returned_at)} times"
        parts.append(f"returned to its place {times}")
    if call.fallback_at is not None:
        parts.append(f"through the switch's own queue ({call.fallback_why})")
    return f" ({'; '.join(parts)})" if parts else ""


def _refused(offer: OfferRecord) -> bool:
    return offer.outcome is not None and offer.outcome is not OfferOutcome.ANSWERED


def _between(call: CallRecord) -> str:
    end = "" if call.ended_at is None else _clock(call.ended_at)
    return f"before {end}" if call.unseen_since is None else f"between {_clock(call.unseen_since)} and {end}"


def _clock(at: Instant) -> str:
    return datetime.fromtimestamp(at.utc_us / 1e6, UTC).strftime("%H:%M:%S UTC")


def _seconds(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds:.1f} s"


def describe(fact: facts.Fact) -> str:
    """What a fact says, in a few words. Personal fields are left out."""
    return _WORDS[type(fact)](fact)


def _arrived(fact: facts.CallArrived) -> str:
    return f"arrived on line {fact.line}" + (", found waiting" if fact.adopted else "")


def _queued(fact: facts.CallQueued) -> str:
    return f"joined queue {fact.queue}, {'999' if fact.tier == 0 else '101'}, class {fact.priority_class}"


def _ended(fact: facts.CallEnded) -> str:
    return f"ended: {fact.outcome.value.replace('_', ' ')}, {STAGES[fact.stage]}; {SIDES[fact.side]} ({fact.cause})"


_WORDS: dict[type[facts.Fact], Callable[[Any], str]] = {
    facts.DaemonStarted: lambda fact: f"the daemon started, version {fact.version}",
    facts.DaemonStopped: lambda fact: f"the daemon stopped: {fact.why}",
    facts.SwitchLost: lambda fact: f"the switch was lost from sight ({fact.link}: {fact.error})",
    facts.SwitchRestored: lambda fact: (
        f"the switch was seen again: {fact.calls_kept} calls kept, {fact.calls_adopted} adopted, "
        f"{fact.calls_missing} missing"
    ),
    facts.ClockChanged: lambda fact: f"the clock is {fact.state}",
    facts.LedgerTroubleBegan: lambda fact: f"trouble with the ledger: {fact.detail}",
    facts.LedgerTroubleEnded: lambda fact: f"the ledger is well again: {fact.detail}",
    facts.CallArrived: _arrived,
    facts.CallAnswered: lambda fact: f"answered by the {fact.by}",
    facts.CallQueued: _queued,
    facts.AnnouncementStarted: lambda fact: f"heard announcement {fact.prompt}",
    facts.AnnouncementEnded: lambda fact: (
        f"announcement {fact.prompt} " + ("was heard to the end" if fact.completed else "was cut short")
    ),
    facts.OfferMade: lambda fact: f"offered to agent {fact.agent} at phone {fact.phone}",
    facts.OfferRang: lambda fact: f"the phone of agent {fact.agent} rang",
    facts.OfferAnswered: lambda fact: f"agent {fact.agent} answered",
    facts.OfferWithdrawn: lambda fact: f"offer to agent {fact.agent} withdrawn: {fact.outcome}",
    facts.OfferEnded: lambda fact: f"offer to agent {fact.agent} over: {fact.outcome} ({fact.cause})",
    facts.CallConnected: lambda fact: f"connected to agent {fact.agent}",
    facts.CallReturned: lambda _: "returned to its place in the queue",
    facts.CallHeld: lambda fact: f"put on hold by agent {fact.agent}",
    facts.CallResumed: lambda fact: f"taken off hold by agent {fact.agent}",
    facts.FallbackEntered: lambda fact: f"taken by the switch's own queue ({fact.why})",
    facts.FallbackConnected: lambda fact: (
        f"connected by the switch's own queue to agent {fact.agent or 'unknown'}"
    ),
    facts.CallEnded: _ended,
    facts.AgentSignedIn: lambda fact: f"agent {fact.agent} signed in at phone {fact.phone}",
    facts.AgentSignedOut: lambda fact: f"agent {fact.agent} signed out",
    facts.AgentBecameReady: lambda fact: f"agent {fact.agent} became ready",
    facts.AgentBecameNotReady: lambda fact: f"agent {fact.agent} became not ready: {fact.reason}",
    facts.WrapUpStarted: lambda fact: f"wrap-up of agent {fact.agent} began",
    facts.WrapUpEnded: lambda fact: f"wrap-up of agent {fact.agent} ended",
    facts.PhoneChanged: lambda fact: f"phone {fact.phone} became {fact.state}",
}
