"""Calls as records: every stamp of a call in one place, folded from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from edge.core import facts
from edge.core.model import CallState, Instant, Stage, Tier
from edge.views.record import (
    AlarmRecord,
    AnnotationRecord,
    AnnouncementRecord,
    AssistRecord,
    AttemptRecord,
    CallbackRecord,
    CallRecord,
    ClassRecord,
    CodeRecord,
    ConnectionRecord,
    ConsultationRecord,
    DepartureRecord,
    DialogueRecord,
    HoldRecord,
    InvitationRecord,
    MatchRecord,
    MoveRecord,
    OfferRecord,
    PassedOnRecord,
    PredictionRecord,
    RungRecord,
    SentBackRecord,
    SupervisionRecord,
    WrapUpRecord,
)

__all__ = ["CHANGES_ITS_CALL_ALONE", "CallFold", "CallRecord", "OfferRecord", "fold_calls", "fold_into"]


class CallFold:
    """Folds facts, one by one, into records. Facts about calls whose arrival was not folded are left out."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}
        self._wrap_ups: dict[str, tuple[CallRecord, WrapUpRecord]] = {}
        """Agent -> the wrap-up that they are in, and its call."""

    def add(self, entry: facts.Entry) -> list[CallRecord]:
        """Fold one fact; the records that it changed, none twice: at most two, as a 999 may break the wrap-up of another call."""
        fact, at = entry.fact, entry.at
        if isinstance(fact, facts.CallArrived):
            self.calls[fact.call_id] = arrived = _arrived(fact, at)
            return [arrived]
        changed = []
        if (
            isinstance(fact, facts.WRAP_UP_ENDS)
            and (held := self._wrap_ups.pop(fact.agent, None)) is not None
        ):
            worked_on, wrap_up = held
            wrap_up.ended_at, wrap_up.broken = at, isinstance(fact, facts.WrapUpBroken)
            changed.append(worked_on)
        call = self.calls.get(getattr(fact, "call_id", None) or "")
        if call is None:
            return changed
        fold_into(call, fact, at)
        if isinstance(fact, facts.WrapUpStarted) and (begun := _open_wrap_up(call, fact.agent)) is not None:
            self._wrap_ups[fact.agent] = call, begun
        if not changed or changed[0] is not call:
            changed.append(call)
        return changed

    def adopt(self, call: CallRecord, wrapping_up: Iterable[str] = ()) -> None:
        """Go on with a record that was folded earlier and put away. `wrapping_up`: agents who are in a wrap-up of it still."""
        self.calls[call.call_id] = call
        for agent in wrapping_up:
            if (wrap_up := _open_wrap_up(call, agent)) is not None:
                self._wrap_ups[agent] = call, wrap_up

    def drop(self, call_id: str) -> None:
        """Let a record go that nobody is wrapping up, to be adopted again when a fact about it comes."""
        del self.calls[call_id]

    def wrapping_up(self, agent: str) -> CallRecord | None:
        """The call whose wrap-up they are in."""
        return self._wrap_ups[agent][0] if agent in self._wrap_ups else None


def fold_calls(entries: Iterable[facts.Entry]) -> dict[str, CallRecord]:
    """Call id -> record, in order of arrival."""
    fold = CallFold()
    for entry in entries:
        fold.add(entry)
    return fold.calls


def fold_into(call: CallRecord, fact: facts.Fact, at: Instant) -> None:
    """Fold a fact about this call into its record: all that `CallFold` does with those that `CHANGES_ITS_CALL_ALONE`."""
    _FOLDS[type(fact)](call, fact, at)


def _arrived(fact: facts.CallArrived, at: Instant) -> CallRecord:
    return CallRecord(
        call_id=fact.call_id,
        line=fact.line,
        arrived_at=at,
        queued_at=at,
        waiting_since=at,
        adopted=fact.adopted,
        number_withheld=fact.number_withheld,
        caller_number=fact.caller_number,
        caller_name=fact.caller_name,
        language=fact.language,
        assisted=fact.assisted,
        test=fact.test,
        consultation_of=fact.consultation_of,
    )


def _recognised(call: CallRecord, fact: facts.CallerRecognised, at: Instant) -> None:  # noqa: ARG001
    call.knowledge = fact.knowledge


def _answered(call: CallRecord, fact: facts.CallAnswered, at: Instant) -> None:
    call.answered_at, call.answered_by = at, fact.by


def _queued(call: CallRecord, fact: facts.CallQueued, at: Instant) -> None:
    if call.in_fallback:
        _disconnect(call, at)
    call.phase = None
    call.queue, call.priority_class, call.tier = fact.queue, fact.priority_class, fact.tier
    call.queued_at, call.in_fallback = fact.queued_at, False
    if call.joined_at is None or fact.queued_at.monotonic_ns < call.joined_at.monotonic_ns:
        call.joined_at = fact.queued_at
    if not call.connections:
        call.waiting_since = fact.queued_at


def _classified(call: CallRecord, fact: facts.CallClassified, at: Instant) -> None:
    call.queue, call.priority_class, call.language = fact.queue, fact.priority_class, fact.language
    call.classes.append(
        ClassRecord(
            at=at,
            queue=fact.queue,
            priority_class=fact.priority_class,
            language=fact.language,
            source=fact.source,
            detail=fact.detail,
        )
    )


def _upgraded(call: CallRecord, fact: facts.CallUpgraded, at: Instant) -> None:
    call.queue_before_upgrade, call.queue = call.queue, fact.queue
    call.tier, call.upgraded_at = Tier.EMERGENCY, at
    if not call.departures or call.departures[-1].answered_at is None:
        call.leaving = False
    call.phase = call.callback = None  # they are among the 999 instead


def _escalated(call: CallRecord, fact: facts.CallEscalated, at: Instant) -> None:
    call.rungs.append(RungRecord(at=at, rung=fact.rung))


def _marked_assisted(call: CallRecord, fact: facts.CallMarkedAssisted, at: Instant) -> None:  # noqa: ARG001
    call.assisted, call.assisted_by = True, fact.by


def _turned_away(call: CallRecord, fact: facts.CallTurnedAway, at: Instant) -> None:
    call.departures.append(DepartureRecord(at=at, why=fact.why, prompt=fact.prompt))
    call.leaving = True
    call.announcements.append(AnnouncementRecord(prompt=fact.prompt, started_at=at))


def _diverted(call: CallRecord, fact: facts.CallDiverted, at: Instant) -> None:
    call.departures.append(DepartureRecord(at=at, why=fact.why, phone=fact.phone))
    call.leaving = True


def _diversion_answered(call: CallRecord, fact: facts.DiversionAnswered, at: Instant) -> None:  # noqa: ARG001
    call.departures[-1] = replace(call.departures[-1], answered_at=at)


def _announcement_started(call: CallRecord, fact: facts.AnnouncementStarted, at: Instant) -> None:
    call.announcements.append(AnnouncementRecord(prompt=fact.prompt, started_at=at))


def _announcement_ended(call: CallRecord, fact: facts.AnnouncementEnded, at: Instant) -> None:
    for heard in reversed(call.announcements):
        if heard.prompt == fact.prompt and heard.ended_at is None:
            heard.ended_at, heard.completed = at, fact.completed
            return


def _offer(call: CallRecord, fact: facts.OfferFact) -> OfferRecord | None:
    for offer in reversed(call.offers):
        if offer.offer_id == fact.offer_id:
            return offer
    return None


def _offer_made(call: CallRecord, fact: facts.OfferMade, at: Instant) -> None:
    call.offers.append(
        OfferRecord(
            offer_id=fact.offer_id,
            agent=fact.agent,
            phone=fact.phone,
            made_at=at,
            ring_seconds=fact.ring_seconds,
        )
    )


def _offer_rang(call: CallRecord, fact: facts.OfferRang, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.rang_at = at


def _offer_answered(call: CallRecord, fact: facts.OfferAnswered, at: Instant) -> None:
    call.agent = fact.agent
    if call.phase is CallState.CALLBACK:
        call.phase = CallState.DIALLING
    else:
        call.claimed = True
    if (offer := _offer(call, fact)) is not None:
        offer.answered_at = at


def _offer_withdrawn(call: CallRecord, fact: facts.OfferWithdrawn, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.withdrawn_at, offer.outcome = at, fact.outcome


def _offer_ended(call: CallRecord, fact: facts.OfferEnded, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.ended_at, offer.outcome, offer.cause = at, fact.outcome, fact.cause


def _connected(call: CallRecord, fact: facts.CallConnected, at: Instant) -> None:
    _somebody_has(call, fact.agent, at, fact.waited_seconds)


def _somebody_has(call: CallRecord, agent: str | None, at: Instant, waited_seconds: float) -> None:
    """`waited_seconds`: since joining, which for the first person is the wait itself."""
    if call.first_human_seconds is None or call.right_desk_seconds is None:
        call.first_human_seconds = call.right_desk_seconds = waited_seconds
    elif call.waiting_since is not None:
        call.right_desk_seconds += at.since(call.waiting_since)
    call.connections.append(ConnectionRecord(agent=agent, at=at))
    call.connected_at, call.agent, call.waited_seconds, call.waiting_since = at, agent, waited_seconds, None


def _disconnect(call: CallRecord, at: Instant) -> None:
    """Nobody has the call any more: it waits on, and what was waited is not over."""
    if call.connected_at is not None:
        call.waiting_since = at
        _end_connection(call, at)
    call.claimed = call.leaving = False
    call.connected_at = call.agent = call.waited_seconds = None
    _end_hold(call, at)


def _end_connection(call: CallRecord, at: Instant) -> None:
    if call.connections and call.connections[-1].ended_at is None:
        call.connections[-1].ended_at = at


def _end_hold(call: CallRecord, at: Instant) -> None:
    if call.holds and call.holds[-1].ended_at is None:
        call.holds[-1].ended_at = at


def _returned(call: CallRecord, fact: facts.CallReturned, at: Instant) -> None:  # noqa: ARG001
    _disconnect(call, at)
    call.returned_at.append(at)


def _sent_back(call: CallRecord, fact: facts.CallSentBack, at: Instant) -> None:
    _disconnect(call, at)
    call.queue, call.in_fallback = fact.queue, False
    call.sent_back.append(SentBackRecord(at=at, agent=fact.agent, queue=fact.queue))


def _passed_on(call: CallRecord, fact: facts.CallPassedOn, at: Instant) -> None:
    _end_connection(call, at)
    _end_hold(call, at)
    call.passed_on.append(
        PassedOnRecord(at=at, agent=fact.agent, kind=fact.kind, target=fact.target, to_agent=fact.to_agent)
    )


def _consulted(call: CallRecord, fact: facts.CallConsulted, at: Instant) -> None:
    call.consultations.append(
        ConsultationRecord(
            at=at,
            agent=fact.agent,
            with_agent=fact.with_agent,
            line=fact.line,
            call_id=fact.consultation,
        )
    )


def _taken_over(call: CallRecord, fact: facts.CallTakenOver, at: Instant) -> None:
    """The way from one person to the next was a wait for the right desk too."""
    if call.passed_on and call.right_desk_seconds is not None:
        call.right_desk_seconds += at.since(call.passed_on[-1].at)
    call.connections.append(ConnectionRecord(agent=fact.agent, at=at))
    call.connected_at, call.agent = at, fact.agent


def _held(call: CallRecord, fact: facts.CallHeld, at: Instant) -> None:  # noqa: ARG001
    call.holds.append(HoldRecord(started_at=at))


def _resumed(call: CallRecord, fact: facts.CallResumed, at: Instant) -> None:  # noqa: ARG001
    _end_hold(call, at)


def _fallback_entered(call: CallRecord, fact: facts.FallbackEntered, at: Instant) -> None:
    _disconnect(call, at)
    call.phase = None
    call.in_fallback, call.fallback_at, call.fallback_why = True, at, fact.why


def _fallback_connected(call: CallRecord, fact: facts.FallbackConnected, at: Instant) -> None:
    _somebody_has(call, fact.agent, at, at.since(call.queued_at))


def _ended(call: CallRecord, fact: facts.CallEnded, at: Instant) -> None:
    call.ended_at, call.outcome, call.stage, call.side = at, fact.outcome, fact.stage, fact.side
    call.cause, call.agent, call.unseen_since = fact.cause, fact.agent, fact.unseen_since
    call.waited_seconds, call.talked_seconds = fact.waited_seconds, fact.talked_seconds
    _on_the_line(call, at)


def _traced(call: CallRecord, fact: facts.CallTraced, at: Instant) -> None:  # noqa: ARG001
    """The switch's own times take the place of those at which we were told, which was later or never."""
    call.traced_by, call.came_unseen = fact.source, fact.added
    if fact.arrived_at is not None:
        call.arrived_at = fact.arrived_at
    if fact.answered_at is not None and call.answered_at is not None:
        call.answered_at = fact.answered_at
    if fact.fallback_at is not None:
        call.fallback_at = fact.fallback_at
        call.fallback_why = call.fallback_why or "without us"
    if fact.connected_at is not None:
        _connected_earlier(call, fact.connected_at, fact.agent)
    if fact.ended_at is not None:
        call.ended_at, call.unseen_since, call.waiting_since = fact.ended_at, None, None
    if fact.outcome is not None:
        call.outcome, call.side, call.cause = fact.outcome, fact.side, fact.cause
        call.waited_seconds, call.talked_seconds = fact.waited_seconds, fact.talked_seconds
        call.agent = fact.agent
        call.stage = Stage.TALKING if call.connected_at is not None else call.stage


def _connected_earlier(call: CallRecord, at: Instant, agent: str | None) -> None:
    """A person was there at `at`, which we learned later; whom we saw to have the call before that had it before."""
    last = call.connections[-1] if call.connections else None
    waited_seconds = max(0.0, at.since(call.queued_at))
    if last is None:
        _somebody_has(call, agent, at, waited_seconds)
    elif last.at.monotonic_ns > at.monotonic_ns:
        last.at, last.agent = at, last.agent or agent
        call.connected_at = at
        if len(call.connections) == 1:
            call.first_human_seconds = call.right_desk_seconds = call.waited_seconds = waited_seconds


def _annotated(call: CallRecord, fact: facts.CallAnnotated, at: Instant) -> None:
    call.annotations.append(
        AnnotationRecord(at=at, kind=fact.kind, value=fact.value, state=fact.state, by=fact.by)
    )


def _wrap_up_started(call: CallRecord, fact: facts.WrapUpStarted, at: Instant) -> None:
    """That of an agent who never had the call is the rest of one that the call broke: it is not this call's."""
    if any(connection.agent == fact.agent for connection in call.connections):
        call.wrap_ups.append(WrapUpRecord(agent=fact.agent, started_at=at))


def _open_wrap_up(call: CallRecord, agent: str) -> WrapUpRecord | None:
    return next((w for w in call.wrap_ups if w.agent == agent and w.ended_at is None), None)


def _wrap_up_broken(call: CallRecord, fact: facts.WrapUpBroken, at: Instant) -> None:  # noqa: ARG001
    call.wrap_ups_broken.append(fact.agent)


def _wrap_up_coded(call: CallRecord, fact: facts.WrapUpCoded, at: Instant) -> None:
    call.wrap_up_codes.append(CodeRecord(at=at, agent=fact.agent, code=fact.code))


def _assist_asked(call: CallRecord, fact: facts.AssistAsked, at: Instant) -> None:
    call.assists.append(AssistRecord(at=at, agent=fact.agent))


def _supervision_began(call: CallRecord, fact: facts.SupervisionBegan, at: Instant) -> None:
    call.supervisions.append(
        SupervisionRecord(supervisor=fact.supervisor, agent=fact.agent, mode=fact.mode, started_at=at)
    )


def _supervision_ended(call: CallRecord, fact: facts.SupervisionEnded, at: Instant) -> None:
    for seen in reversed(call.supervisions):
        same = (seen.supervisor, seen.agent, seen.mode) == (fact.supervisor, fact.agent, fact.mode)
        if same and seen.ended_at is None:
            seen.ended_at = at
            return


def _supervisor_invited(call: CallRecord, fact: facts.SupervisorInvited, at: Instant) -> None:
    call.invitations.append(InvitationRecord(at=at, agent=fact.agent, supervisor=fact.supervisor))


def _alarm_raised(call: CallRecord, fact: facts.AlarmRaised, at: Instant) -> None:
    call.alarms.append(AlarmRecord(at=at, kind=fact.kind, detail=fact.detail, call_id=fact.call_id))


# --- call-backs


def _predicted(call: CallRecord, fact: facts.WaitPredicted, at: Instant) -> None:
    call.predictions.append(
        PredictionRecord(
            at=at,
            low_seconds=fact.low_seconds,
            high_seconds=fact.high_seconds,
            position=fact.position,
            agents=fact.agents,
            measured=fact.measured,
        )
    )


def _callback_offered(call: CallRecord, fact: facts.CallbackOffered, at: Instant) -> None:  # noqa: ARG001
    call.callback_offers.append(at)


def _dialogue(call: CallRecord, at: Instant) -> DialogueRecord:
    """The one in progress, begun now where there is none."""
    if not call.dialogues or call.dialogues[-1].declined_at is not None:
        call.dialogues.append(DialogueRecord(accepted_at=at))
    return call.dialogues[-1]


def _callback_asked(call: CallRecord, fact: facts.CallbackAsked, at: Instant) -> None:
    _dialogue(call, at).asked.append(fact.asked)


def _callback_keyed(call: CallRecord, fact: facts.CallbackNumberKeyed, at: Instant) -> None:
    _dialogue(call, at).keyed.append(fact.judgement)


def _callback_declined(call: CallRecord, fact: facts.CallbackDeclined, at: Instant) -> None:
    dialogue = _dialogue(call, at)
    dialogue.declined_at, dialogue.declined_why = at, fact.why


def _callback_promised(call: CallRecord, fact: facts.CallbackPromised, at: Instant) -> None:
    call.phase = CallState.PROMISED
    call.callback = CallbackRecord(promised_at=at, number=fact.number, keyed=fact.keyed, into=fact.into)


def _callback_confirmed(call: CallRecord, fact: facts.CallbackConfirmed, at: Instant) -> None:  # noqa: ARG001
    if call.callback is not None:
        call.callback.confirmed_at = at


def _callback_revoked(call: CallRecord, fact: facts.CallbackRevoked, at: Instant) -> None:
    call.phase = call.callback = None
    dialogue = _dialogue(call, at)
    dialogue.declined_at, dialogue.declined_why = at, fact.why


def _callback_silent(call: CallRecord, fact: facts.CallbackSilent, at: Instant) -> None:
    """Nothing of the attempt's own, which had ended: its story tells it."""


def _callback_waits(call: CallRecord, fact: facts.CallbackWaits, at: Instant) -> None:  # noqa: ARG001
    _disconnect(call, at)
    call.phase, call.in_fallback = CallState.CALLBACK, False
    _off_the_line(call, at)


def _off_the_line(call: CallRecord, at: Instant) -> None:
    if (promise := call.callback) is not None and promise.off_line_since is None:
        promise.off_line_since = at
        promise.off_line_at = promise.off_line_at or at


def _on_the_line(call: CallRecord, at: Instant) -> None:
    if (promise := call.callback) is not None and promise.off_line_since is not None:
        promise.off_line_seconds += at.since(promise.off_line_since)
        promise.off_line_since = None


def _callback_attempted(call: CallRecord, fact: facts.CallbackAttempted, at: Instant) -> None:
    call.phase, call.agent = CallState.DIALLING, fact.agent
    if call.callback is not None:
        call.callback.not_before, call.callback.barred = None, ""
        call.callback.attempts.append(
            AttemptRecord(attempt=fact.attempt, agent=fact.agent, offer_id=fact.offer_id, intended_at=at)
        )


def _attempt(call: CallRecord, attempt: int) -> AttemptRecord | None:
    made = call.callback.attempts if call.callback is not None else []
    return next((each for each in reversed(made) if each.attempt == attempt), None)


def _callback_dialled(call: CallRecord, fact: facts.CallbackDialled, at: Instant) -> None:
    if (attempt := _attempt(call, fact.attempt)) is not None:
        attempt.dialled_at = at


def _callback_rang(call: CallRecord, fact: facts.CallbackRang, at: Instant) -> None:
    if (attempt := _attempt(call, fact.attempt)) is not None:
        attempt.rang_at = at


def _callback_answered(call: CallRecord, fact: facts.CallbackAnswered, at: Instant) -> None:
    call.phase, call.claimed = None, True
    _picked_up(call, fact.attempt, at)


def _callback_picked_up(call: CallRecord, fact: facts.CallbackPickedUp, at: Instant) -> None:
    call.phase = CallState.CHECKING
    _picked_up(call, fact.attempt, at)


def _picked_up(call: CallRecord, number: int, at: Instant) -> None:
    _on_the_line(call, at)
    if (attempt := _attempt(call, number)) is not None:
        attempt.answered_at = at


def _callback_present(call: CallRecord, fact: facts.CallbackPresent, at: Instant) -> None:  # noqa: ARG001
    call.phase, call.agent = None, None
    if call.callback is not None and call.callback.attempts:
        call.callback.attempts[-1].pressed_at = at


def _callback_attempt_ended(call: CallRecord, fact: facts.CallbackAttemptEnded, at: Instant) -> None:
    attempt = _attempt(call, fact.attempt)
    if attempt is not None:
        attempt.ended_at, attempt.outcome = at, fact.outcome
        attempt.counted, attempt.cause = fact.counted, fact.cause
        _nobody_was_reached(call, attempt)
    _disconnect(call, at)
    call.phase, call.in_fallback = CallState.CALLBACK, False
    if fact.queued_at is not None:
        call.queued_at = fact.queued_at
    if not any(connection.reached for connection in call.connections):
        call.waiting_since = call.queued_at
    if call.callback is not None:
        call.callback.not_before = fact.not_before
    _off_the_line(call, at)


def _nobody_was_reached(call: CallRecord, attempt: AttemptRecord) -> None:
    """Who was connected in this attempt has not spoken with the person: that was no first human, and no right desk."""
    for connection in call.connections:
        if connection.at.monotonic_ns >= attempt.intended_at.monotonic_ns:
            connection.reached = False
    if not any(connection.reached for connection in call.connections):
        call.first_human_seconds = call.right_desk_seconds = None


def _callback_matched(call: CallRecord, fact: facts.CallbackMatched, at: Instant) -> None:
    if call.callback is not None:
        call.callback.matched.append(MatchRecord(at=at, by_call=fact.by_call, emergency=fact.emergency))


def _callback_barred(call: CallRecord, fact: facts.CallbackBarred, at: Instant) -> None:  # noqa: ARG001
    if call.callback is not None:
        call.callback.barred = fact.why


def _callback_moved(call: CallRecord, fact: facts.CallbackMoved, at: Instant) -> None:
    call.queue, call.priority_class = fact.queue, fact.priority_class
    if call.callback is not None:
        call.callback.moved.append(
            MoveRecord(at=at, queue=fact.queue, priority_class=fact.priority_class, by=fact.by, why=fact.why)
        )


def _task_opened(call: CallRecord, fact: facts.TaskOpened, at: Instant) -> None:  # noqa: ARG001
    call.task = fact.kind


_FOLDS: dict[type[facts.Fact], Callable[[CallRecord, Any, Instant], None]] = {
    facts.CallAnswered: _answered,
    facts.CallQueued: _queued,
    facts.AnnouncementStarted: _announcement_started,
    facts.AnnouncementEnded: _announcement_ended,
    facts.OfferMade: _offer_made,
    facts.OfferRang: _offer_rang,
    facts.OfferAnswered: _offer_answered,
    facts.OfferWithdrawn: _offer_withdrawn,
    facts.OfferEnded: _offer_ended,
    facts.CallConnected: _connected,
    facts.CallReturned: _returned,
    facts.CallHeld: _held,
    facts.CallResumed: _resumed,
    facts.FallbackEntered: _fallback_entered,
    facts.FallbackConnected: _fallback_connected,
    facts.CallEnded: _ended,
    facts.CallTraced: _traced,
    facts.CallerRecognised: _recognised,
    facts.CallClassified: _classified,
    facts.CallUpgraded: _upgraded,
    facts.CallEscalated: _escalated,
    facts.CallMarkedAssisted: _marked_assisted,
    facts.CallTurnedAway: _turned_away,
    facts.CallDiverted: _diverted,
    facts.DiversionAnswered: _diversion_answered,
    facts.CallPassedOn: _passed_on,
    facts.CallTakenOver: _taken_over,
    facts.CallConsulted: _consulted,
    facts.CallSentBack: _sent_back,
    facts.CallAnnotated: _annotated,
    facts.WrapUpStarted: _wrap_up_started,
    facts.WrapUpBroken: _wrap_up_broken,
    facts.WrapUpCoded: _wrap_up_coded,
    facts.AssistAsked: _assist_asked,
    facts.SupervisionBegan: _supervision_began,
    facts.SupervisionEnded: _supervision_ended,
    facts.SupervisorInvited: _supervisor_invited,
    facts.AlarmRaised: _alarm_raised,
    facts.WaitPredicted: _predicted,
    facts.CallbackOffered: _callback_offered,
    facts.CallbackAsked: _callback_asked,
    facts.CallbackNumberKeyed: _callback_keyed,
    facts.CallbackDeclined: _callback_declined,
    facts.CallbackPromised: _callback_promised,
    facts.CallbackConfirmed: _callback_confirmed,
    facts.CallbackRevoked: _callback_revoked,
    facts.CallbackWaits: _callback_waits,
    facts.CallbackAttempted: _callback_attempted,
    facts.CallbackDialled: _callback_dialled,
    facts.CallbackRang: _callback_rang,
    facts.CallbackSilent: _callback_silent,
    facts.CallbackAnswered: _callback_answered,
    facts.CallbackPickedUp: _callback_picked_up,
    facts.CallbackPresent: _callback_present,
    facts.CallbackAttemptEnded: _callback_attempt_ended,
    facts.CallbackMatched: _callback_matched,
    facts.CallbackBarred: _callback_barred,
    facts.CallbackMoved: _callback_moved,
    facts.TaskOpened: _task_opened,
}
CHANGES_ITS_CALL_ALONE = frozenset(_FOLDS) - {facts.WrapUpStarted, *facts.WRAP_UP_ENDS}
"""Kinds of facts after which nothing but the record of their own call is another."""
