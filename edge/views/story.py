"""The story of one call: what happened, when and why, in lines a person can read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.core import facts
from edge.core.model import NOT_PEOPLE, CallOutcome, CallState, Instant, OfferOutcome, Side, Stage
from edge.core.promise import TaskAttemptOutcome
from edge.views import words
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
    told, nobody_on_the_line = [], False
    for entry in entries:
        nobody_on_the_line = _nobody_on_the_line(entry.fact, nobody_on_the_line)
        reserved = nobody_on_the_line and isinstance(entry.fact, facts.OfferMade)
        told.append(
            StoryLine(
                sequence=entry.sequence,
                at=entry.at,
                switch_utc_us=entry.switch_utc_us,
                offset_seconds=entry.at.since(entries[0].at),
                kind=type(entry.fact).__name__,
                what=describe(entry.fact) + (", to ring the person once there" if reserved else ""),
                reason=entry.reason,
            )
        )
    return told


def _nobody_on_the_line(fact: facts.Fact, before: bool) -> bool:
    """Whether the call is a call-back without a leg after this fact."""
    match fact:
        case facts.CallbackWaits() | facts.CallbackAttemptEnded():
            return True
        case facts.CallbackAnswered() | facts.CallbackPickedUp() | facts.CallEnded():
            return False
    return before


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
    Stage.ENTRY: "at the entrance",
    Stage.LEAVING: "while it was told why it could not be served, or was sent elsewhere",
    Stage.ANNOUNCEMENT: "during an announcement",
    Stage.QUEUE: "in the queue",
    Stage.RINGING: "while an agent's phone rang",
    Stage.CONNECTING: "while being connected",
    Stage.FALLBACK: "in the switch's own queue",
    Stage.CALLBACK: "after a call-back was promised",
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
    CallState.LEAVING: "cannot be served here and is being told so, or sent elsewhere",
    CallState.PROMISED: "has a promise of a call-back, and the caller is being told",
    CallState.CALLBACK: "is waiting at its place to be called back",
    CallState.RESERVING: "is to be called back, and an agent's phone rings",
    CallState.DIALLING: "is being called back: the person's phone is being rung",
    CallState.CHECKING: "is being called back: who answered is asked to press a key",
}


def outcome_sentence(call: CallRecord) -> str:
    """What became of the call, in one plain sentence; a test call is called one."""
    sentence = _sentence(call)
    return sentence.replace("The call", "The test call", 1) if call.test else sentence


def _sentence(call: CallRecord) -> str:
    path, ended_by = _path(call), SIDES[call.side or Side.UNKNOWN]
    stage = STAGES[call.stage or Stage.QUEUE]
    match call.outcome:
        case None if call.connected_at is not None:
            whom = words.who(call.agent)
            if call.passed_on and call.connections[-1].ended_at is not None:
                whom = words.target_name(call.passed_on[-1].target, call.passed_on[-1].to_agent)
            return f"The call is open: talking to {whom} after a wait of {_wait(call)}{path}."
        case None:
            since = _clock(call.waiting_since or call.queued_at)
            return f"The call is open: it {STATES[call.state]}, since {since}{path}."
        case CallOutcome.ANSWERED:
            return (
                f"The call was answered by {words.who(call.agent)} after a wait of {_wait(call)}{path}; "
                f"they talked for {_seconds(call.talked_seconds)} and {ended_by}."
            )
        case CallOutcome.ABANDONED if call.connections:
            return (
                f"The call was answered by {words.who(call.connections[0].agent)} after a wait of {_wait(call)}{path}, but "
                f"not again after it was sent back: it ended {stage}; {ended_by}."
            )
        case CallOutcome.ABANDONED:
            return (
                f"The call was not answered: it ended {stage} after a wait of {_seconds(call.waited_seconds)}{path}; "
                f"{ended_by}."
            )
        case CallOutcome.REFUSED:
            return f"The call was refused ({call.cause}): it ended {stage}{path}; {ended_by}."
        case CallOutcome.OVERFLOWED:
            return f"The call was sent to another number after a wait of {_seconds(call.waited_seconds)}{path}; {ended_by}."
        case CallOutcome.UNREACHED:
            return (
                f"The person could not be called back within {_seconds(call.waited_seconds)}{path}: it became a task for a human "
                f"({call.cause})."
            )
        case CallOutcome.CANCELLED:
            return f"The call-back was cancelled after {_seconds(call.waited_seconds)}{path}: {call.cause}."
        case CallOutcome.MERGED:
            return (
                "The call-back went on as the earlier one of the same number after "
                f"{_seconds(call.waited_seconds)}{path}."
            )
        case CallOutcome.ENDED_UNKNOWN:
            return f"The end of the call was not seen: it fell {_between(call)}{path}."


def _wait(call: CallRecord) -> str:
    """For the first person, and for the last where that is another."""
    first, last = call.first_human_seconds, call.right_desk_seconds
    if first is None or len(call.connections) < 2:
        return _seconds(call.waited_seconds if first is None else first)
    return f"{_seconds(first)} ({_seconds(last)} for the right desk)"


def _path(call: CallRecord) -> str:
    """What stood in the way, for the sentence: upgrading, escalation, moves, offers that nobody took, the fallback."""
    parts = []
    if call.upgraded_at is not None:
        parts.append(
            f"upgraded 101 at {_after(call, call.upgraded_at)}: the caller pressed the emergency key"
        )
    parts += [f"{words.RUNGS[rung.rung]} at {_after(call, rung.at)}" for rung in call.rungs]
    parts += _promise(call)
    if refused := [offer for offer in call.offers if _refused(offer)]:
        parts.append("offered in vain to " + ", ".join(f"{_offered_to(o)} ({o.outcome})" for o in refused))
    if call.returned_at:
        times = "once" if len(call.returned_at) == 1 else f"{len(call.returned_at)} times"
        parts.append(f"returned to its place {times}")
    parts += [f"sent back to queue {back.queue} by {words.who(back.agent)}" for back in call.sent_back]
    parts += [words.passed_on_words(passed) for passed in call.passed_on]
    parts += [words.departure(departure) for departure in call.departures]
    if call.fallback_at is not None:
        parts.append(f"through the switch's own queue ({call.fallback_why})")
    if call.traced_by is not None:
        what = "unseen, and known from" if call.came_unseen else "in part unseen, and corrected by"
        parts.append(f"{what} the switch's own record, {call.traced_by}")
    return f" ({'; '.join(parts)})" if parts else ""


def _promise(call: CallRecord) -> list[str]:
    """How the call went as a call-back."""
    promise = call.callback
    if promise is None:
        return []
    parts = [f"call-back promised at {_after(call, promise.promised_at)}"]
    if promise.off_line_seconds:
        parts.append(f"{_seconds(promise.off_line_seconds)} of it off the line")
    if promise.attempts:
        tried = [words.ATTEMPTS[each.outcome] if each.outcome else "connected" for each in promise.attempts]
        if promise.in_flight and call.connected_at is None and call.outcome is None:
            tried[-1] = "in progress"
        times = "once" if len(tried) == 1 else f"{len(tried)} times"
        parts.append(f"the person rung {times}: {', '.join(tried)}")
    if promise.matched:
        parts.append("called again meanwhile in " + ", ".join(match.by_call for match in promise.matched))
    return parts


def _after(call: CallRecord, at: Instant) -> str:
    """Since joining the queue."""
    return _seconds(max(0.0, at.since(call.queued_at)))


def _offered_to(offer: OfferRecord) -> str:
    return words.who(offer.agent) if offer.agent in NOT_PEOPLE else offer.agent


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
    parts = [f"arrived on line {fact.line}"]
    parts += ["test call"] if fact.test else []
    parts += [f"consultation for call {fact.consultation_of}"] if fact.consultation_of else []
    parts += ["assisted"] if fact.assisted else []
    parts += [f"language {fact.language}"] if fact.language != "en" else []
    return ", ".join(parts + ["found waiting"] * fact.adopted)


def _queued(fact: facts.CallQueued) -> str:
    return f"joined queue {fact.queue}, {words.tier_name(fact.tier)}, class {fact.priority_class}"


def _classified(fact: facts.CallClassified) -> str:
    detail = f" ({fact.detail})" if fact.detail else ""
    return (
        f"classified {words.SOURCES[fact.source]}{detail}: queue {fact.queue}, class {fact.priority_class}, "
        f"language {fact.language}"
    )


def _consulted(fact: facts.CallConsulted) -> str:
    if fact.with_agent is not None:
        return f"{words.who(fact.agent)} consults {words.who(fact.with_agent)}"
    return f"{words.who(fact.agent)} consults line {fact.line}, by call {fact.consultation}"


def _annotated(fact: facts.CallAnnotated) -> str:
    by = f" by {fact.by}" if fact.by else ""
    match fact.kind:
        case "incident":
            return f"incident {fact.value} attached{by}"
        case _:
            return f"{fact.kind} {fact.value} {fact.state or 'attached'}{by}"


def _missed(fact: facts.AgentMissedOffers) -> str:
    what = (
        "kept ready as the last who can take a 999, behind everybody else"
        if fact.kept_ready
        else "being set not ready"
    )
    return f"agent {fact.agent} missed {fact.missed} offers in a row: {what}"


def _ended(fact: facts.CallEnded) -> str:
    return f"ended: {fact.outcome.value.replace('_', ' ')}, {STAGES[fact.stage]}; {SIDES[fact.side]} ({fact.cause})"


def _predicted(fact: facts.WaitPredicted) -> str:
    by = "talks that were seen" if fact.measured else "the plan's figure"
    return (
        f"expected to wait {fact.low_seconds:.0f} to {fact.high_seconds:.0f} s from here: position {fact.position}, "
        f"{fact.agents} agents at work, by {by}"
    )


def _promised(fact: facts.CallbackPromised) -> str:
    number = "the number that was keyed" if fact.keyed else "the number that called"
    into = "" if fact.into is None else f"; the call-back of call {fact.into} goes on for both"
    return f"promised a call-back to {number}{into}"


def _attempted(fact: facts.CallbackAttempted) -> str:
    whom = "is on the line" if fact.offer_id is not None else "is kept for the person"
    return f"attempt {fact.attempt}: {words.who(fact.agent)} {whom}, the person is about to be dialled"


def _attempt_ended(fact: facts.CallbackAttemptEnded) -> str:
    place = "its place is kept" if fact.queued_at is None else "it has a later place now"
    counted = "counted" if fact.counted else "not counted"
    return f"attempt {fact.attempt} over: {words.ATTEMPTS[fact.outcome]} ({fact.cause}), {counted}; {place}"


def _matched(fact: facts.CallbackMatched) -> str:
    what = "a 999" if fact.emergency else "a call"
    return f"{what} came from the same number: call {fact.by_call}"


def _task_opened(fact: facts.TaskOpened) -> str:
    return f"became a task for a human: {words.TASKS[fact.kind]}, {fact.detail}"


def _traced(fact: facts.CallTraced) -> str:
    """With the switch's own times."""
    times = {
        "arrived": fact.arrived_at,
        "answered": fact.answered_at,
        "in the switch's own queue": fact.fallback_at,
        f"connected to {words.who(fact.agent)}": fact.connected_at,
        "ended": fact.ended_at,
    }
    told = ", ".join(f"{what} at {_precisely(at)}" for what, at in times.items() if at is not None)
    became = "" if fact.outcome is None else f": {fact.outcome.value.replace('_', ' ')}; {SIDES[fact.side]}"
    what = "known from" if fact.added else "corrected by"
    return f"{what} the switch's own record ({fact.source}): {told}{became}"


def _precisely(at: Instant) -> str:
    return datetime.fromtimestamp(at.utc_us / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3] + " UTC"


def _gap_ended(fact: facts.GapEnded) -> str:
    return (
        f"the switch was not seen for {fact.seconds:.1f} s since {_precisely(fact.since)} ({fact.why}; known by: {fact.bound}); "
        f"{len(fact.calls)} calls were open"
    )


def _gap_traced(fact: facts.GapTraced) -> str:
    whole = "" if fact.complete else f"; not whole: {fact.detail}"
    return (
        f"the switch's own record of gap {fact.gap} was read: {fact.calls_seen} callers, {fact.calls_added} of whom nothing was "
        f"known, {fact.calls_corrected} corrected, {fact.calls_unknown} unknown{whole}"
    )


def _task_closed(fact: facts.TaskClosed) -> str:
    note = f" ({fact.note})" if fact.note else ""
    return f"task closed by {fact.by}: {words.TASK_OUTCOMES[fact.outcome]}{note}"


def _task_offered(fact: facts.TaskOffered) -> str:
    why = ", who asked for the next" if fact.asked else ""
    return f"task {fact.task_id} offered to agent {fact.agent}{why}"


def _task_rung(fact: facts.TaskAttemptEnded) -> str:
    spoke = fact.outcome is TaskAttemptOutcome.SPOKEN
    seconds = f", {fact.talked_seconds:.0f} s" if spoke else ""
    return f"the person of task {fact.task_id} was rung for agent {fact.agent}: {words.TASK_ATTEMPTS[fact.outcome]}{seconds}"


_WORDS: dict[type[facts.Fact], Callable[[Any], str]] = {
    facts.LedgerSynthesised: lambda fact: (
        f"SYNTHETIC: this ledger of {fact.calls} calls was made up (seed {fact.seed})"
    ),
    facts.FactsLost: lambda fact: (
        f"FACTS LOST: from entry {fact.first} up to this one ({fact.why}); the damaged file is kept as {fact.kept_as}"
    ),
    facts.DaemonStarted: lambda fact: f"the daemon started, version {fact.version}",
    facts.DaemonStopped: lambda fact: f"the daemon stopped: {fact.why}",
    facts.SwitchLost: lambda fact: f"the switch was lost from sight ({fact.link}: {fact.error})",
    facts.SwitchRestored: lambda fact: (
        f"the switch was seen again: {fact.calls_kept} calls kept, {fact.calls_adopted} adopted, "
        f"{fact.calls_missing} missing"
    ),
    facts.GapEnded: _gap_ended,
    facts.GapTraced: _gap_traced,
    facts.CallTraced: _traced,
    facts.ClockStepped: lambda fact: f"the clock was set by {fact.seconds:+.3f} s",
    facts.ClockSlewed: lambda fact: (
        f"the clock was slewed by {fact.seconds:+.3f} s in {fact.over_seconds:.0f} s"
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
    facts.OfferMade: lambda fact: f"offered to {words.who(fact.agent)} at phone {fact.phone}",
    facts.OfferRang: lambda fact: f"the phone of {words.who(fact.agent)} rang",
    facts.OfferAnswered: lambda fact: f"{words.who(fact.agent)} answered",
    facts.OfferWithdrawn: lambda fact: f"offer to {words.who(fact.agent)} withdrawn: {fact.outcome}",
    facts.OfferEnded: lambda fact: f"offer to {words.who(fact.agent)} over: {fact.outcome} ({fact.cause})",
    facts.CallConnected: lambda fact: f"connected to {words.who(fact.agent)}",
    facts.CallReturned: lambda _: "returned to its place in the queue",
    facts.CallHeld: lambda fact: f"put on hold by {words.who(fact.agent)}",
    facts.CallResumed: lambda fact: f"taken off hold by {words.who(fact.agent)}",
    facts.FallbackEntered: lambda fact: f"taken by the switch's own queue ({fact.why})",
    facts.FallbackConnected: lambda fact: f"connected by the switch's own queue to {words.who(fact.agent)}",
    facts.CallEnded: _ended,
    facts.AgentSignedIn: lambda fact: f"agent {fact.agent} signed in at phone {fact.phone}",
    facts.AgentSignedOut: lambda fact: f"agent {fact.agent} signed out",
    facts.AgentBecameReady: lambda fact: f"agent {fact.agent} became ready",
    facts.AgentBecameNotReady: lambda fact: f"agent {fact.agent} became not ready: {fact.reason}",
    facts.WrapUpStarted: lambda fact: f"wrap-up of agent {fact.agent} began",
    facts.WrapUpEnded: lambda fact: f"wrap-up of agent {fact.agent} ended",
    facts.PhoneChanged: lambda fact: f"phone {fact.phone} became {fact.state}",
    facts.CallerRecognised: lambda _: "the handler is shown what is known of the caller's number",
    facts.CallClassified: _classified,
    facts.CallUpgraded: lambda fact: (
        f"upgraded 101: the caller pressed the emergency key and is among the 999, in queue {fact.queue}"
    ),
    facts.CallEscalated: lambda fact: words.RUNGS[fact.rung],
    facts.CallMarkedAssisted: lambda fact: "marked as assisted" + (f" by {fact.by}" if fact.by else ""),
    facts.CallTurnedAway: lambda fact: f"told by {fact.prompt} that it cannot be served: {fact.why}",
    facts.CallDiverted: lambda fact: f"sent to phone {fact.phone}: {fact.why}",
    facts.DiversionAnswered: lambda _: "the other number answered",
    facts.CallPassedOn: lambda fact: words.passed_on(fact.kind, fact.agent, fact.target, fact.to_agent),
    facts.CallTakenOver: lambda fact: f"taken over by {words.who(fact.agent)} at phone {fact.phone}",
    facts.CallConsulted: _consulted,
    facts.CallSentBack: lambda fact: (
        f"sent back to queue {fact.queue} by {words.who(fact.agent)}, at its time of joining"
    ),
    facts.CallAnnotated: _annotated,
    facts.WrapUpBroken: lambda fact: (
        f"wrap-up of agent {fact.agent} broken for a 999, {fact.seconds:.0f} s of it are owed"
    ),
    facts.WrapUpCoded: lambda fact: f"wrap-up code of agent {fact.agent}: {fact.code}",
    facts.AgentMissedOffers: _missed,
    facts.AssistAsked: lambda fact: f"agent {fact.agent} asked for a supervisor's help",
    facts.SupervisionBegan: lambda fact: (
        f"supervisor {fact.supervisor} began {words.SUPERVISIONS[fact.mode]} at agent {fact.agent}"
    ),
    facts.SupervisionEnded: lambda fact: (
        f"supervisor {fact.supervisor} ended {words.SUPERVISIONS[fact.mode]} at agent {fact.agent}"
    ),
    facts.SupervisorInvited: lambda fact: (
        f"agent {fact.agent} asked supervisor {fact.supervisor} into the conversation"
    ),
    facts.IncidentDeclared: lambda fact: f"major incident declared by {fact.by}",
    facts.IncidentEnded: lambda fact: f"major incident ended by {fact.by}",
    facts.EquipmentChecked: lambda fact: (
        f"{fact.probe} came to {fact.verdict.words}"
        + (f": {fact.figure}" if fact.figure else "")
        + f" (by {fact.by})"
    ),
    facts.AlarmRaised: lambda fact: f"ALARM {fact.kind}: {fact.detail}",
    facts.WaitPredicted: _predicted,
    facts.CallbackOffered: lambda _: "offered a call-back",
    facts.CallbackAsked: lambda fact: (
        f"accepted the call-back, or answered; asked {words.ASKED[fact.asked]}"
        + (" again" if fact.again else "")
    ),
    facts.CallbackNumberKeyed: lambda fact: f"keyed a number: {words.JUDGEMENTS[fact.judgement]}",
    facts.CallbackDeclined: lambda fact: f"no call-back for now, and goes on waiting: {fact.why}",
    facts.CallbackPromised: _promised,
    facts.CallbackConfirmed: lambda _: "the promise is on disk, and the caller is being told",
    facts.CallbackRevoked: lambda fact: (
        f"the promise was not made, and the caller goes on waiting: {fact.why}"
    ),
    facts.CallbackWaits: lambda fact: (
        f"off the line, and waits at its place: {SIDES[fact.side]} ({fact.cause})"
    ),
    facts.CallbackAttempted: _attempted,
    facts.CallbackDialled: lambda fact: f"attempt {fact.attempt}: the person was dialled",
    facts.CallbackRang: lambda fact: f"attempt {fact.attempt}: the person's phone rang",
    facts.CallbackSilent: lambda fact: f"attempt {fact.attempt}: the person's phone rings no more",
    facts.CallbackAnswered: lambda fact: (
        f"attempt {fact.attempt}: answered, and being connected to the agent"
    ),
    facts.CallbackPickedUp: lambda fact: f"attempt {fact.attempt}: answered, and asked to press a key",
    facts.CallbackPresent: lambda _: "pressed the key, and is on the line again at their place",
    facts.CallbackAttemptEnded: _attempt_ended,
    facts.CallbackMatched: _matched,
    facts.CallbackBarred: lambda fact: (
        f"passed over although an agent is free: {fact.why}" if fact.why else "nothing is in its way any more"
    ),
    facts.CallbackMoved: lambda fact: (
        f"call-back moved by {fact.by} to queue {fact.queue}, class {fact.priority_class}: {fact.why}"
    ),
    facts.CallbackOfferingSet: lambda fact: (
        f"the offering of call-backs was {'resumed' if fact.active else 'paused'} by {fact.by}"
    ),
    facts.CallbackOfferingTurned: lambda fact: (
        f"call-backs are {'offered' if fact.active else 'not offered any more'} in queue {fact.queue}: "
        f"{fact.expected_seconds:.0f} s of waiting are expected"
    ),
    facts.TrunkRested: lambda fact: (
        f"the trunk rests for {fact.seconds:.0f} s after {fact.failures} failures in a row; places are kept"
    ),
    facts.TaskOpened: _task_opened,
    facts.TaskLinked: lambda fact: f"another call came from the number of the task: {fact.by_call}",
    facts.TaskAssigned: lambda fact: f"task assigned to {fact.to} by {fact.by}",
    facts.TaskClosed: _task_closed,
    facts.TaskAsked: lambda fact: (
        f"agent {fact.agent} asked for the next task" + ("" if fact.any_open else ", and there is none")
    ),
    facts.TaskOffered: _task_offered,
    facts.TaskOfferRang: lambda fact: f"the phone of agent {fact.agent} rings for task {fact.task_id}",
    facts.TaskOfferAnswered: lambda fact: (
        f"agent {fact.agent} answered for task {fact.task_id}, and is asked what to do"
    ),
    facts.TaskAttempted: lambda fact: (
        f"agent {fact.agent} pressed the key to ring the person of task {fact.task_id}"
    ),
    facts.TaskDialled: lambda fact: f"the person of task {fact.task_id} was dialled",
    facts.TaskReached: lambda fact: (
        f"the person of task {fact.task_id} answered, and talks with agent {fact.agent}"
    ),
    facts.TaskAttemptEnded: _task_rung,
    facts.TaskOfferWithdrawn: lambda fact: (
        f"the offer of task {fact.task_id} to agent {fact.agent} is over: {fact.outcome}"
    ),
    facts.TaskOfferEnded: lambda fact: (
        f"agent {fact.agent} is off the line of task {fact.task_id}: {fact.outcome} ({fact.cause})"
    ),
}
