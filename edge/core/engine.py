"""The engine: one input in, facts and effects out, with the reason in a sentence. Sans-IO and deterministic.

Rule 1: everything that the engine knows is in `State`, and only facts change it (`_record`).
Rule 2: what an input means in each state stands in `transitions.py`; here is only how it is done.
Rule 3: time comes in with each step, and `next_deadline()` says when to come back. There is no other timer.
Rule 4: after each step every call is in exactly one place (`_check`), and every step says why it did what it did.

A step has four movements: react to the input, do what deadlines have come due, match waiting calls with free agents, then
attend to those who go on waiting. The input goes first, so an answer that arrives together with its deadline is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.core import effects, facts, inputs
from edge.core.desk import AGE, ANNOUNCEMENT, DIALOGUE, OFFER_CALLBACK, PATIENCE, RELAXATION, TASK, TASK_OFFER
from edge.core.matching import Matching
from edge.core.model import MICROSECONDS, Instant
from edge.core.reconciling import Reconciling
from edge.core.state import LEDGER_ALARM, rebase
from edge.core.transitions import (
    CALL_DEADLINES,
    CALL_REACTIONS,
    OFFER_DEADLINES,
    OFFER_REACTIONS,
)

SETTLING_SECONDS = 1.0
"""After the switch was seen again: so long may a leg take to end, and a fact to be known as durable, that was asked for then."""
TURNED_SECONDS = 0.1
"""What UTC gains or loses against the monotonic clock before it is a fact."""
STEEPEST_SLEW = 0.1
"""Seconds a second. No daemon that disciplines a clock turns it faster than this (chronyd: 1/12): more is a step."""
LEDGER_ALARM_AGAIN_SECONDS = 600.0
"""A disk that is slow again and again must not crowd out other alarms: each trouble is a fact, and an alarm so rarely,"""
LEDGER_ALARM_ALWAYS_SECONDS = 30.0
"""unless it lasted so long."""
NEED_SIGHT = ("offer", "call", DIALOGUE, TASK_OFFER)
"""Kinds of alarm upon which the switch is asked for something."""


def _turned_seconds(earlier: Instant, later: Instant) -> float:
    """By how much UTC moved more than the monotonic clock did."""
    return (later.utc_us - earlier.utc_us) / MICROSECONDS - later.since(earlier)


@dataclass(frozen=True, slots=True)
class Step:
    """One decision. `effects` come each with the sequence of the fact that caused it, to be performed once that is durable."""

    entries: tuple[facts.Entry, ...]
    effects: tuple[tuple[effects.Effect, int], ...]
    reason: str


class Engine(Reconciling, Matching):
    """Decides for every call and agent of one switch. Not thread-safe: one loop owns it."""

    _compared_at: Instant | None = None
    """The last step: what both clocks showed."""
    _turned_since: Instant | None = None
    """Since when UTC has turned against the monotonic clock by less than is worth a fact."""

    def step(self, given: inputs.Input, now: Instant) -> Step:
        """Take one input at `now` and decide. Deadlines due at `now` are dealt with in the same step."""
        self._now, self._told_utc_us = now, given.switch_utc_us
        self._switch_utc_us = None if isinstance(given, inputs.Reconciled) else given.switch_utc_us
        self._entries, self._effects, self._reasons, self._reason = [], [], [], ""
        self._due_calls, self._switch_died = [], False
        if not isinstance(given, inputs.Started):
            self._watch_clock()
        self._react(given)
        self._switch_utc_us = None
        self._expire()
        self._match()
        while self._attend():  # nobody is sent on twice, so this ends
            self._match()
        self._check()
        return Step(tuple(self._entries), tuple(self._effects), "; ".join(dict.fromkeys(self._reasons)))

    def next_deadline(self) -> Instant | None:
        """When to call `step(Woken())` if nothing happens before."""
        return self._alarms.next()

    def position(self, call_id: str) -> int | None:
        """1 for the waiting call that is served next; None when the call does not wait."""
        return self._order.position(call_id) if call_id in self._order else None

    def _react(self, given: inputs.Input) -> None:
        match given:  # each kind is asked in turn: what comes most often stands first
            case inputs.PhoneSeen():
                self._phone_seen(given)
            case (
                inputs.PhoneRang()
                | inputs.PhoneAnswered()
                | inputs.PhoneGone()
                | inputs.HoldChanged()
                | inputs.AgentKeyed()
                | inputs.TaskPersonAnswered()
                | inputs.TaskPersonGone()
            ):
                self._react_for_offer(given)
            case inputs.Woken():
                pass
            case inputs.CallPresented() if self._is_new(given.call_id):
                self._arrive(given)
            case inputs.CallRefused():
                if self._is_new(given.call_id):
                    self._refuse_at_entrance(given)
            case inputs.FallbackTook() if self._is_new(given.call_id):
                self._arrive_in_fallback(given)
            case inputs.Durable() if given.call_id in self.state.task_offers:
                self._react_for_task_offer(self.state.task_offers[given.call_id], given)
            case (
                inputs.CallPresented()
                | inputs.KeyPressed()
                | inputs.NumberKeyed()
                | inputs.Durable()
                | inputs.PersonRang()
                | inputs.PersonAnswered()
                | inputs.PersonGone()
                | inputs.CallPassedOn()
                | inputs.ColleagueAnswered()
                | inputs.DiversionAnswered()
                | inputs.CallSentBack()
                | inputs.CallerGone()
                | inputs.PairJoined()
                | inputs.PairReturned()
                | inputs.AnnouncementFinished()
                | inputs.FallbackTook()
                | inputs.FallbackAnswered()
            ):
                self._react_for_call(given)
            case inputs.Reconciled():
                self._reconcile(given)
            case (
                inputs.LinkLost()
                | inputs.TraceRead()
                | inputs.StoodStill()
                | inputs.ClockSeen()
                | inputs.Started()
                | inputs.Stopping()
                | inputs.LedgerTrouble()
                | inputs.LedgerMended()
            ):
                self._react_to_circumstances(given)
            case _:
                self._react_to_people(given)

    def _react_to_people(self, given: inputs.Input) -> None:
        """What agents, handlers and supervisors do and order."""
        match given:
            case inputs.CallAnnotated():
                self._annotate(given)
            case inputs.CallMarkedAssisted():
                self._mark_assisted(given)
            case inputs.AgentSeen():
                self._agent_seen(given)
            case inputs.ReadyPressed():
                self._ready_pressed(given)
            case inputs.WrapUpCoded():
                self._wrap_up_coded(given)
            case inputs.AssistAsked():
                self._assist_asked(given)
            case inputs.SupervisionSeen():
                self._supervision_seen(given)
            case inputs.SupervisorInvited():
                self._supervisor_invited(given)
            case inputs.ConsultationSeen():
                self._consultation_seen(given)
            case inputs.IncidentSet():
                self._incident_set(given)
            case inputs.EquipmentChecked():
                self._equipment_checked(given)
            case inputs.PersonJudged():
                self._person_judged(given)
            case inputs.CallbackOrdered():
                self._callback_ordered(given)
            case inputs.CallbackOfferingSet():
                self._callback_offering_set(given)
            case inputs.TaskAssigned():
                self._task_assigned(given)
            case inputs.TaskClosed():
                self._task_closed(given)
            case inputs.TaskAsked():
                self._task_asked(given)
            case inputs.TaskSpokenWith():
                self._task_spoken_with(given)

    def _react_to_circumstances(self, given: inputs.Input) -> None:
        """What happens to the daemon itself."""
        match given:
            case inputs.LinkLost():
                if self.state.sight:
                    self._because(f"lost sight of the switch: {given.error}")
                    self._record(facts.SwitchLost(link=given.link, error=given.error))
            case inputs.ClockSeen():
                if given.state is not self.state.clock:
                    self._because(f"the system clock is {given.state}")
                    self._record(facts.ClockChanged(state=given.state, error_us=given.error_us))
            case inputs.TraceRead():
                self._trace_read(given)
            case inputs.StoodStill():
                self._stood_still(given)
            case inputs.Started():
                self._started(given)
            case inputs.Stopping():
                self._because(f"the daemon stops: {given.why}")
                self._record(facts.DaemonStopped(why=given.why))
            case inputs.LedgerTrouble():
                self._ledger_trouble(given)
            case inputs.LedgerMended():
                self._because(
                    "the ledger's damaged file was set aside; what could be read goes on in a new one"
                )
                self._record(facts.AlarmRaised(kind=LEDGER_ALARM, detail=given.detail))

    def _started(self, given: inputs.Started) -> None:
        self._because("the daemon started")
        self._watch_clock_since(given)
        self._record(
            facts.DaemonStarted(
                version=given.version,
                policy_digest=given.policy_digest,
                boot_id=given.boot_id,
                alive_at=self._alive_at(given),
                hung=given.hung,
            )
        )
        # Behind that fact, which tells by the one before it since when nobody looked.
        self._watch_clock(at_start=True)
        self._build_indexes()  # after a reboot every monotonic reading has moved

    def _alive_at(self, given: inputs.Started) -> Instant | None:
        """The last sign of life of the daemon before, where it tells more than its last fact does, and can be true."""
        alive_at, latest_at = given.alive_at, self.state.latest_at
        if alive_at is None or latest_at is None or self.state.boot_id not in ("", given.alive_boot_id):
            return None
        if alive_at.monotonic_ns <= latest_at.monotonic_ns:
            return None
        if given.alive_boot_id != given.boot_id:
            return rebase(alive_at, self._now) if alive_at.utc_us <= self._now.utc_us else None
        return alive_at if alive_at.monotonic_ns <= self._now.monotonic_ns else None

    # ------------------------------------------------------------------ the clock

    def _watch_clock_since(self, given: inputs.Started) -> None:
        """Within one boot the clock is compared with what it showed when the daemon before wrote last."""
        if self.state.boot_id == given.boot_id and self.state.latest_at is not None:
            self._compared_at = self.state.latest_at
        else:
            self._compared_at = self._now
        self._turned_since = self._compared_at

    def _watch_clock(self, *, at_start: bool = False) -> None:
        """UTC against the monotonic clock: whatever the one moved more or less than the other is a step, or slewing if it took
        its time. Facts keep both readings, so nothing else depends on it."""
        before, since = self._compared_at or self._now, self._turned_since or self._now
        self._compared_at, self._turned_since = self._now, since
        stepped_seconds, passed_seconds = _turned_seconds(before, self._now), self._now.since(before)
        is_sudden = at_start or abs(stepped_seconds) > STEEPEST_SLEW * passed_seconds
        if abs(stepped_seconds) >= TURNED_SECONDS and is_sudden:
            self._turned_since = self._now
            self._because(f"the clock was set by {stepped_seconds:+.3f} s")
            self._record(facts.ClockStepped(seconds=stepped_seconds))
        elif abs(slewed_seconds := _turned_seconds(since, self._now)) >= TURNED_SECONDS:
            self._turned_since = self._now
            over_seconds = self._now.since(since)
            self._because(f"the clock was slewed by {slewed_seconds:+.3f} s in {over_seconds:.0f} s")
            self._record(facts.ClockSlewed(seconds=slewed_seconds, over_seconds=over_seconds))

    def _react_for_call(self, given: Any) -> None:
        call = self.state.calls.get(given.call_id)
        if call is None:
            self._because(f"{type(given).__name__} for call {given.call_id}, which is not open: ignored")
            return
        getattr(self, f"_{CALL_REACTIONS[type(given)][call.state]}")(call, given)

    def _react_for_offer(self, given: Any) -> None:
        offer, task_offer = (
            self.state.offers.get(given.offer_id),
            self.state.task_offers.get(given.offer_id),
        )
        if task_offer is not None:
            self._react_for_task_offer(task_offer, given)
        elif offer is not None:
            getattr(self, f"_{OFFER_REACTIONS[type(given)][offer.state]}")(offer, given)
        elif isinstance(given, inputs.PhoneAnswered):
            self._because(f"an agent's leg answered for offer {given.offer_id}, which is over: hung up")
            self._ask(effects.HangUpOffer(offer_id=given.offer_id))
        else:
            self._because(f"{type(given).__name__} for offer {given.offer_id}, which is over: ignored")

    def _ledger_trouble(self, given: inputs.LedgerTrouble) -> None:
        state = self.state
        what, since, last = state.ledger_trouble, state.ledger_trouble_since, state.ledger_alarm_at
        if given.ok and what is not None:
            self._because("the ledger takes facts again")
            self._record(facts.LedgerTroubleEnded(detail=given.detail))
            seconds = 0.0 if since is None else self._now.since(since)
            if (
                last is None
                or self._now.since(last) >= LEDGER_ALARM_AGAIN_SECONDS
                or seconds >= LEDGER_ALARM_ALWAYS_SECONDS
            ):
                detail = f"for {seconds:.1f} s until now: {what}; calls went on from memory"
                self._record(facts.AlarmRaised(kind=LEDGER_ALARM, detail=detail))
        elif not given.ok and self.state.ledger_trouble is None:
            self._because(f"the ledger is in trouble: {given.detail}")
            self._record(facts.LedgerTroubleBegan(detail=given.detail))

    def _expire(self) -> None:
        """Without sight of the switch nothing can be asked of it: what would ask is held, and due when it has been seen again and
        what was asked then has had its time."""
        if self.state.sight and self._alarms.holds_any:
            self._alarms.release(self._now.plus(SETTLING_SECONDS))
        while keys := self._alarms.due(self._now):
            for kind, name in keys:
                call, offer = self.state.calls.get(name), self.state.offers.get(name)
                if kind == "agent":
                    self._wrap_up_over(self.state.agents[name])
                elif kind in NEED_SIGHT and not self.state.sight:
                    self._alarms.hold((kind, name))
                elif kind == "offer" and offer is not None:
                    getattr(self, f"_{OFFER_DEADLINES[offer.state].then}")(offer)
                elif kind == TASK_OFFER and name in self.state.task_offers:
                    self._task_offer_due(self.state.task_offers[name])
                elif kind == TASK and name in self.state.tasks:
                    self._task_overdue(self.state.tasks[name])
                elif call is None:
                    continue  # ended by what else was due in this step
                elif kind == "call" and call.state in CALL_DEADLINES:
                    getattr(self, f"_{CALL_DEADLINES[call.state].then}")(call)
                elif kind in (PATIENCE, ANNOUNCEMENT, RELAXATION, OFFER_CALLBACK):
                    self._due_calls.append(name)
                elif kind == DIALOGUE:
                    self._no_answer_given(call)
                elif kind == AGE:
                    self._callback_overdue(call)
