"""The open state: what is true now, as a fold over facts. `apply` is the only place that changes it.

Restart is the last checkpoint of a `State` and the facts after it; a test proves that both folds agree.
Calls and offers leave it when they end, so it stays as small as the room is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from edge.core import facts
from edge.core.model import (
    NOT_PEOPLE,
    REFUSALS,
    Activity,
    AgentState,
    Blindness,
    Bound,
    CallerKnowledge,
    CallOutcome,
    CallState,
    CheckVerdict,
    ClassSource,
    ClockState,
    Instant,
    OfferOutcome,
    OfferState,
    PhoneState,
    Rung,
    Tier,
)
from edge.core.promise import Asked, AttemptOutcome
from edge.core.task_state import DURABLE_SECONDS, TASK_FOLDS, Task, TaskOffer, occupy_with_next
from edge.core.transitions import CALL_TRANSITIONS, OFFER_TRANSITIONS, IllegalFactError, next_state

SERVICES_REMEMBERED = 20
TRIES_OF_A_PROMPT = 2
"""A prompt that could not be played so often counts as heard: nobody waits for ever because a file is missing."""
BOOSTS = frozenset({ClassSource.LISTED, ClassSource.REPEAT})
"""Sources of a class that came by the caller's number, whose head start is capped."""
ENDED_MEMORY_SECONDS = 60.0
"""How long an ended call is remembered, so that a late or doubled input does not open it a second time."""
LOOK_UP_SECONDS = 5.0
"""So long at most a task that a gap made waits for what the switch's own record tells of its caller: it is read in about one."""


LEDGER_ALARM = "ledger"
"""The kind of alarm that says it was in trouble."""
STOOD_STILL_MEMORY_SECONDS = 10.0
"""So long after a standstill a lost link is believed to have been lost in it."""
SAMPLES_REMEMBERED = 20
"""How many talks, departures and predictions of a queue are remembered, to expect the next by."""
CHECKS_REMEMBERED = 32
"""Of how many probes the last check is remembered."""
PROMISED_SECONDS = 60.0
HOUR_SECONDS = 3600.0
DAY_SECONDS = 86_400.0


@dataclass(slots=True, kw_only=True)
class Callback:
    """What was promised to a caller, and how far it is."""

    number: str | None
    """E.164; None once erased."""
    keyed: bool
    promised_at: Instant
    into: str | None = None
    """The call-back of the same number that goes on for both."""
    confirmed: bool = False
    attempt: int = 0
    """The latest attempt, whatever became of it."""
    counted: int = 0
    network_failures: int = 0
    preemptions: int = 0
    in_flight: bool = False
    """The attempt has begun and has neither failed nor led to a conversation."""
    kept_agent: str | None = None
    """Caller first: the agent who is kept for them."""
    ring_seconds: float = 0.0
    unrung_seconds: float = 0.0
    attempted_at: Instant | None = None
    dialled_at: Instant | None = None
    rang_at: Instant | None = None
    answered_at: Instant | None = None
    picked_up_at: Instant | None = None
    kept_at: Instant | None = None
    """When its person talked with an agent first: the promise is kept, whatever comes after."""
    check_seconds: float = 0.0
    not_before: Instant | None = None
    barred: str = ""
    """What is in its way although an agent is free."""
    last_outcome: AttemptOutcome | None = None
    matched_by: list[str] = field(default_factory=list)
    """Calls that came from this number since."""
    emergency_since: Instant | None = None
    """When a 999 came from this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What was last expected of a caller's wait."""

    at: Instant
    low_seconds: float
    high_seconds: float


@dataclass(slots=True, kw_only=True)
class Promises:
    """The live counter: what became of every call-back that was promised."""

    made: int = 0
    kept: int = 0
    merged: int = 0
    cancelled: int = 0
    became_tasks: int = 0
    upgraded: int = 0
    out_of_turn: int = 0
    """Served after somebody who joined later with the same or a lower class: broken. Always 0, or it is a fault of ours."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One caller's request, open."""

    call_id: str
    leg_id: str
    line: str
    arrived_at: Instant
    number_withheld: bool
    caller_number: str | None
    caller_name: str | None
    state: CallState = CallState.WAITING
    queue: str = ""
    priority_class: str = ""
    tier: int = 1
    queued_at: Instant
    language: str = "en"
    assisted: bool = False
    test: bool = False
    knowledge: CallerKnowledge | None = None
    classified_by: ClassSource = ClassSource.LINE
    boosted: bool = False
    """The class came by the caller's number, whatever has been classified since: its head start is capped."""
    menu_key: str | None = None
    """What the caller chose last."""
    stays: bool = False
    """Was sent on once, or came back from a number that did not take it: waits until served, however long."""
    upgraded_at: Instant | None = None
    """When the caller pressed the emergency key; the place among the 999 counts from then."""
    rung: Rung = Rung.NEXT_AGENT
    rung_at: Instant | None = None
    waits_again_since: Instant | None = None
    """When somebody who talked with this caller gave them back to us: an unanswered 999 climbs from there."""
    announced_at: Instant | None = None
    quiet_at: Instant | None = None
    """When the last announcement ended."""
    """When the last announcement began."""
    prompts_heard: list[str] = field(default_factory=list)
    """Announcements that this caller has heard to their end, each once."""
    prompts_failed: list[str] = field(default_factory=list)
    """Announcements that could not be played, or of whose end nobody told, each as often as that happened."""
    leaving_for: str | None = None
    """Why a call in state `leaving` was turned away or diverted."""
    diverted: bool = False
    elsewhere_since: Instant | None = None
    """Since when a diverted caller talks to the other number."""
    passed_on: bool = False
    """The caller talks to somebody outside our queues: no leg of ours tells of it."""
    passed_to: str | None = None
    """The agent who has a caller that was passed on, where it is one."""
    first_connected_at: Instant | None = None
    """When the first human was there, however often the call was sent back since."""
    answered_at: Instant | None = None
    announcement: str | None = None
    offers_made: int = 0
    live_offers: list[str] = field(default_factory=list)
    """Offers that are calling or ringing."""
    claimed_by: str | None = None
    """The offer whose agent answered."""
    claimed_at: Instant | None = None
    connected_at: Instant | None = None
    agent_left_at: Instant | None = None
    """When the agent's leg of the conversation ended; the caller's follows, or comes back to the queue."""
    agent: str | None = None
    held: bool = False
    refused_by: dict[str, Instant] = field(default_factory=dict)
    """Agent number -> when this agent last rejected, missed or lost this call (a leg that broke may break again)."""
    rejected_by: dict[str, Instant] = field(default_factory=dict)
    """Those of `refused_by` who did not merely miss it: rejected, unreachable or lost."""
    prediction: Prediction | None = None
    callback_offered_at: Instant | None = None
    asked: Asked | None = None
    """What a caller who accepted a call-back is being asked."""
    asked_again: bool = False
    asked_at: Instant | None = None
    keyed_number: str | None = None
    callback: Callback | None = None
    """Set from the promise on."""
    became_task: bool = False
    """A task was opened for it, whatever became of that since: another would have the same id."""

    @property
    def is_on_the_line(self) -> bool:
        """Whether the caller, or the person who was called back, has a leg."""
        return self.state not in (
            CallState.CALLBACK,
            CallState.RESERVING,
            CallState.DIALLING,
            CallState.ENDED,
        )

    @property
    def promised_since(self) -> Instant | None:
        """Since when a caller on the line waits for a promise to be durable; then since when they are told of it."""
        if self.callback is None:
            return None
        times = (self.callback.promised_at, self.announced_at if self.callback.confirmed else None)
        return max((at for at in times if at is not None), key=lambda at: at.monotonic_ns)

    @property
    def promise_seconds(self) -> float:
        """How long the disk may take to have the promise; then how long the caller may take to leave."""
        return PROMISED_SECONDS if self.callback is not None and self.callback.confirmed else DURABLE_SECONDS

    @property
    def attempt_since(self) -> Instant | None:
        """Since when the person's phone has its time: from its ringing, before that from the dialling or the intent to."""
        if self.callback is None:
            return None
        return self.callback.rang_at or self.callback.dialled_at or self.callback.attempted_at

    @property
    def attempt_seconds(self) -> float:
        """How long the person's phone may ring, or may take to ring."""
        assert self.callback is not None
        rings = self.callback.rang_at is not None
        return self.callback.ring_seconds if rings else self.callback.unrung_seconds

    @property
    def picked_up_at(self) -> Instant | None:
        """Since when somebody or something is asked for a key."""
        return None if self.callback is None else self.callback.picked_up_at

    @property
    def check_seconds(self) -> float:
        """How long they have for it."""
        assert self.callback is not None
        return self.callback.check_seconds

    @property
    def is_routine(self) -> bool:
        """Whether this is a 101, neither upgraded nor synthetic: only such a call is told, sent or turned anywhere."""
        return self.tier != Tier.EMERGENCY and not self.test

    @property
    def announcing_since(self) -> Instant | None:
        """Since when something is said to the caller."""
        return None if self.announcement is None else self.announced_at

    @property
    def told_at(self) -> Instant | None:
        """Since when a turned-away caller hears why."""
        return None if self.diverted or self.leaving_for is None else self.announced_at

    def was_told(self, prompt: str) -> bool:
        """Whether the caller has heard this to its end, or it turned out that it cannot be said."""
        return prompt in self.prompts_heard or self.prompts_failed.count(prompt) >= TRIES_OF_A_PROMPT

    @property
    def lost_agent_at(self) -> Instant | None:
        """Since when a talking caller has no leg of ours beside them and was not passed on."""
        return None if self.passed_on else self.agent_left_at

    @property
    def emergency_since(self) -> Instant:
        """Since when this call counts as a 999."""
        return self.upgraded_at or self.queued_at

    @property
    def unanswered_since(self) -> Instant:
        """Since when this 999 has had nobody."""
        times = (self.emergency_since, self.waits_again_since or self.emergency_since)
        return max(times, key=lambda at: at.monotonic_ns)


@dataclass(slots=True, kw_only=True)
class Offer:
    """One call presented to one agent, not yet over."""

    offer_id: str
    call_id: str
    agent: str
    phone: str
    made_at: Instant
    ring_seconds: float
    queue: str = ""
    """The queue that the call waited in: its wrap-up is due after the talk, wherever the caller goes."""
    emergency: bool = False
    taken_over: bool = False
    """Never rang by our wish: a transfer brought the caller to this agent, whatever else occupies them."""
    connected_at: Instant | None = None
    released_at: Instant | None = None
    """When the caller of this talking agent went on without them."""
    state: OfferState = OfferState.CALLING
    rang_at: Instant | None = None
    withdrawn_at: Instant | None = None
    outcome: OfferOutcome | None = None
    """What a withdrawn offer will count as."""


@dataclass(slots=True, kw_only=True)
class Gap:
    """A time without sight of the switch, over, whose trace has not been read."""

    gap: int
    since: Instant
    until: Instant
    until_switch_utc_us: int
    """The same moment by the switch's clock."""
    seconds: float
    switch_died: bool = False
    calls_added: int = 0
    calls_corrected: int = 0
    calls_unknown: int = 0
    """What of its trace has been told so far."""
    lost: dict[str, Call] = field(default_factory=dict)
    """Calls whose end fell into it unseen, as they were."""


@dataclass(slots=True, kw_only=True)
class AgentRecord:
    """What is known of one agent."""

    agent: str
    since: Instant
    """When `state` last changed."""
    phone: str | None = None
    not_ready_reason: str | None = None
    activity: Activity = Activity.IDLE
    idle_since: Instant
    """Since when no call occupied this agent: whoever has been idle longest is offered first."""
    offer_id: str | None = None
    """The offer of a call or of a task."""
    freed_at: Instant | None = None
    """When the last offer ended: the switch shows the phone idle a moment later."""
    reserved_for: str | None = None
    """The call-back that this agent is kept for while its person is rung first."""
    wrap_up_until: Instant | None = None
    wrap_up_emergency: bool = False
    """The wrap-up is that of a 999: nothing breaks it."""
    wrap_up_owed_seconds: float = 0.0
    """What was taken from a wrap-up by a 999, to be given back."""
    last_call_id: str | None = None
    """The call that this agent talked to last: a wrap-up code belongs to it."""
    last_task_id: str | None = None
    """The task that this agent was on the line for last."""
    task_asked_at: Instant | None = None
    """When this agent asked for the next task, until there is one at their phone."""
    declined_task_at: Instant | None = None
    missed_in_a_row: int = 0
    rest_since: Instant | None = None
    """When this agent last refused a call, or their phone was still in another, until one is answered."""
    rest_outcome: OfferOutcome | None = None
    crossed_in_a_row: int = 0
    """How often the phone was still in another call since it last rang."""

    def note_crossing(self, at: Instant) -> None:
        """Their phone was still in the call before."""
        self.rest_since, self.rest_outcome = at, OfferOutcome.CROSSED
        self.crossed_in_a_row += 1

    @property
    def state(self) -> AgentState:
        """The one state that a supervisor is shown."""
        if self.activity is Activity.TALKING:
            return AgentState.TALKING
        if self.phone is None:
            return AgentState.SIGNED_OUT
        if self.activity in (Activity.OFFERED, Activity.RESERVED):
            return AgentState.OFFERED
        if self.activity is Activity.WRAP_UP:
            return AgentState.WRAP_UP
        return AgentState.READY if self.not_ready_reason is None else AgentState.NOT_READY


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentCheck:
    """The last check of one probe. `figure`: what was measured, in words."""

    at: Instant
    verdict: CheckVerdict
    figure: str


@dataclass(slots=True, kw_only=True)
class State:
    """Everything open, as of fact `sequence`."""

    sequence: int = 0
    latest_at: Instant | None = None
    """When fact `sequence` was recorded."""
    boot_id: str = ""
    policy_digest: str = ""
    version: str = ""
    started_at: Instant | None = None
    sight: bool = False
    """Whether the switch is seen: False from the loss of a link until it was reconciled."""
    sight_since: Instant | None = None
    sight_error: str = ""
    blind_by: Blindness = Blindness.FIRST_START
    """Why the switch is not seen."""
    blind_bound: Bound = Bound.SEEN
    """How it is known since when."""
    gaps: int = 0
    """How many there have been."""
    holes: int = 0
    """How many times facts of this ledger were lost."""
    untraced: dict[int, Gap] = field(default_factory=dict)
    """Gaps of which the switch's own record has not been read, oldest first."""
    stood_still_since: Instant | None = None
    """When the last standstill of a daemon that went on began, and"""
    stood_still_until: Instant | None = None
    """when it was over: a link lost just after it was lost in it."""
    switch_boot: str = ""
    """Which life of the switch was seen last."""
    clock: ClockState = ClockState.UNKNOWN
    ledger_trouble: str | None = None
    ledger_trouble_since: Instant | None = None
    ledger_alarm_at: Instant | None = None
    """When the last alarm about the ledger was raised."""
    incident_since: Instant | None = None
    """Since when a major incident is declared."""
    checks: dict[str, EquipmentCheck] = field(default_factory=dict)
    """Probe -> its last check, the one that was checked longest ago first; at most `CHECKS_REMEMBERED`."""
    handlings: dict[str, list[float]] = field(default_factory=dict)
    """Queue -> seconds of its last talks, each with its wrap-up as planned, oldest first."""
    departures: dict[str, list[bool]] = field(default_factory=dict)
    """Queue -> whether those who left it last gave up, oldest first."""
    prediction_errors: dict[str, list[float]] = field(default_factory=dict)
    """Queue -> by what share of itself each of its last waits was outside of the range that was expected, oldest first."""
    offering: dict[str, bool] = field(default_factory=dict)
    """Queue -> whether its expected wait has call-backs offered."""
    offering_paused: bool = False
    dials: list[Instant] = field(default_factory=list)
    """When persons were dialled in the last hour, oldest first."""
    promised_to: dict[str, list[Instant]] = field(default_factory=dict)
    """Number -> when it was promised call-backs in the last day."""
    trunk_failures: int = 0
    trunk_rests_until: Instant | None = None
    promises: Promises = field(default_factory=Promises)
    tasks: dict[str, Task] = field(default_factory=dict)
    task_offers: dict[str, TaskOffer] = field(default_factory=dict)
    services: dict[str, list[Instant]] = field(default_factory=dict)
    """Queue -> when its last calls were connected to an agent, oldest first, at most `SERVICES_REMEMBERED`."""
    supervised: dict[str, str] = field(default_factory=dict)
    """Supervisor -> the call in which they take part: its conversation is over before they have left."""
    calls: dict[str, Call] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    agents: dict[str, AgentRecord] = field(default_factory=dict)
    phones: dict[str, PhoneState] = field(default_factory=dict)
    phones_left_off_at: dict[str, Instant] = field(default_factory=dict)
    """When the switch last saw a phone leave a call."""
    ended: dict[str, Instant] = field(default_factory=dict)
    """Call id -> when it ended, for the last `ENDED_MEMORY_SECONDS`, oldest first."""

    def looked_up_until(self, call_id: str) -> Instant | None:
        """Until when, at the latest, it is being looked up whether somebody answered this caller while nothing was seen; None
        when it is not. Not where the switch died: its record ends with it, and clears up no talk that was cut."""
        lost = any(call_id in gap.lost for gap in self.untraced.values() if not gap.switch_died)
        if not lost or self.sight_since is None:
            return None
        return self.sight_since.plus(LOOK_UP_SECONDS)


def replay(entries: Iterable[facts.Entry], state: State | None = None) -> State:
    """Fold `entries` into `state` (a new one if None) and return it."""
    state = State() if state is None else state
    for entry in entries:
        fold(state, entry)
    return state


def fold(state: State, entry: facts.Entry) -> None:
    """As `apply`, of a record that may have lost facts: behind a hole, one that speaks of what was lost changes nothing."""
    try:
        apply(state, entry)
    except IllegalFactError:
        if not state.holes or entry.sequence != state.sequence + 1:
            raise
        state.sequence, state.latest_at = entry.sequence, entry.at


def apply(state: State, entry: facts.Entry) -> None:
    """Fold one fact. Raises `IllegalFactError`, with `state` unchanged, when the tables do not allow it."""
    if entry.sequence != state.sequence + 1 and not _leads_over(entry, state.sequence):
        raise IllegalFactError(f"fact {entry.sequence} does not follow fact {state.sequence}")
    record = state.agents.get(getattr(entry.fact, "agent", None) or "")
    before = None if record is None else record.state
    _FOLDS[type(entry.fact)](state, entry.fact, entry.at)
    if record is not None and record.state is not before:
        record.since = entry.at
    state.sequence, state.latest_at = entry.sequence, entry.at


def _leads_over(entry: facts.Entry, sequence: int) -> bool:
    """Whether it says that the facts after `sequence`, up to its own, were lost."""
    return isinstance(entry.fact, facts.FactsLost) and entry.fact.first <= sequence + 1 <= entry.sequence


def _call(state: State, fact: facts.CallFact) -> Call:
    """The open call of this fact, checked against the table. Nothing is changed."""
    call = state.calls.get(fact.call_id)
    if call is None:
        raise IllegalFactError(f"{type(fact).__name__} for call {fact.call_id}, which is not open")
    return call


def _move_call(call: Call, fact: facts.Fact) -> None:
    call.state = next_state(CALL_TRANSITIONS, call.state, fact, f"call {call.call_id}")


def _offer(state: State, fact: facts.OfferFact) -> Offer:
    """The offer of this fact in its next state. Raises before any change."""
    offer = state.offers.get(fact.offer_id)
    if offer is None:
        raise IllegalFactError(f"{type(fact).__name__} for offer {fact.offer_id}, which is not open")
    if (offer.call_id, offer.agent) != (fact.call_id, fact.agent):
        raise IllegalFactError(
            f"{type(fact).__name__} names another call or agent than offer {offer.offer_id}"
        )
    offer.state = next_state(OFFER_TRANSITIONS, offer.state, fact, f"offer {offer.offer_id}")
    return offer


def _daemon_started(state: State, fact: facts.DaemonStarted, at: Instant) -> None:
    if state.boot_id not in ("", fact.boot_id):
        _count_from_boot(state, at)
    state.boot_id, state.policy_digest, state.version = fact.boot_id, fact.policy_digest, fact.version
    state.started_at = at
    seen_until = (
        fact.alive_at or state.latest_at or at
    )  # a killed daemon saw nothing after its last sign of life
    bound = Bound.LAST_FACT if fact.alive_at is None else Bound.HEARTBEAT
    if state.latest_at is not None:
        by = Blindness.DAEMON_HUNG if fact.hung else Blindness.DAEMON_DEAD
        _lose_sight(state, seen_until, "starting", by, bound)
    else:
        _lose_sight(state, seen_until, "starting", Blindness.FIRST_START)
    state.ledger_trouble = state.ledger_trouble_since = None


def _count_from_boot(state: State, at: Instant) -> None:
    """The machine restarted: what is remembered moves to the new origin. A fold, so that every later replay agrees."""
    for part in fields(state):
        setattr(state, part.name, rebase(getattr(state, part.name), at))


def _lose_sight(state: State, since: Instant, error: str, by: Blindness, bound: Bound = Bound.SEEN) -> None:
    """Blindness counts from its beginning: whatever ended unseen may have ended at any time after it."""
    if state.sight or state.sight_since is None:
        state.sight_since, state.blind_by, state.blind_bound = since, by, bound
    state.sight, state.sight_error = False, error


def _daemon_stopped(state: State, fact: facts.DaemonStopped, at: Instant) -> None:
    _lose_sight(state, at, f"stopped: {fact.why}", Blindness.DAEMON_STOPPED)


def _switch_lost(state: State, fact: facts.SwitchLost, at: Instant) -> None:
    until = state.stood_still_until
    if until is not None and at.since(until) <= STOOD_STILL_MEMORY_SECONDS:
        _lose_sight(state, state.stood_still_since or at, fact.error, Blindness.DAEMON_HUNG)
    else:
        _lose_sight(state, at, fact.error, Blindness.LINK_LOST)


def _gap_ended(state: State, fact: facts.GapEnded, at: Instant) -> None:
    state.gaps = fact.gap
    told_utc_us = at.utc_us if fact.until_switch_utc_us is None else fact.until_switch_utc_us
    state.untraced[fact.gap] = Gap(
        gap=fact.gap,
        since=fact.since,
        until=at,
        until_switch_utc_us=told_utc_us,
        seconds=fact.seconds,
        switch_died=fact.why is Blindness.SWITCH_DEAD,
    )
    if fact.why is Blindness.DAEMON_HUNG and state.sight:
        state.stood_still_since, state.stood_still_until = fact.since, at


def _gap_traced(state: State, fact: facts.GapTraced, at: Instant) -> None:  # noqa: ARG001
    state.untraced.pop(fact.gap, None)


def _call_traced(state: State, fact: facts.CallTraced, at: Instant) -> None:  # noqa: ARG001
    """A call that the switch's own queue still has counts from when it really had it."""
    if (gap := state.untraced.get(fact.gap)) is not None:
        gap.lost.pop(fact.call_id, None)
        gap.calls_added += fact.added
        gap.calls_corrected += not fact.added
        gap.calls_unknown += fact.added and fact.ended_at is None
    call = state.calls.get(fact.call_id)
    if call is not None and fact.arrived_at is not None:
        call.arrived_at = fact.arrived_at
    if call is not None and call.state is CallState.FALLBACK and fact.connected_at is not None:
        call.connected_at = fact.connected_at
        call.first_connected_at = min(
            (call.first_connected_at or fact.connected_at, fact.connected_at), key=lambda at: at.monotonic_ns
        )
        call.agent = call.agent or fact.agent


def _switch_restored(state: State, fact: facts.SwitchRestored, at: Instant) -> None:
    state.sight, state.sight_since, state.sight_error = True, at, ""
    state.switch_boot = fact.switch_boot or state.switch_boot


def _clock_changed(state: State, fact: facts.ClockChanged, at: Instant) -> None:  # noqa: ARG001
    state.clock = fact.state


def _facts_lost(state: State, fact: facts.FactsLost, at: Instant) -> None:  # noqa: ARG001
    state.holes += 1


def _ledger_trouble_began(state: State, fact: facts.LedgerTroubleBegan, at: Instant) -> None:
    state.ledger_trouble, state.ledger_trouble_since = fact.detail, at


def _ledger_trouble_ended(state: State, fact: facts.LedgerTroubleEnded, at: Instant) -> None:  # noqa: ARG001
    state.ledger_trouble = state.ledger_trouble_since = None


def _alarm_raised(state: State, fact: facts.AlarmRaised, at: Instant) -> None:
    if fact.kind == LEDGER_ALARM:
        state.ledger_alarm_at = at


def _call_arrived(state: State, fact: facts.CallArrived, at: Instant) -> None:
    if fact.call_id in state.calls:
        raise IllegalFactError(f"call {fact.call_id} arrived twice")
    state.calls[fact.call_id] = Call(
        call_id=fact.call_id,
        leg_id=fact.leg_id,
        line=fact.line,
        arrived_at=at,
        queued_at=at,
        number_withheld=fact.number_withheld,
        caller_number=fact.caller_number,
        caller_name=fact.caller_name,
        language=fact.language,
        assisted=fact.assisted,
        test=fact.test,
    )


def _caller_recognised(state: State, fact: facts.CallerRecognised, at: Instant) -> None:  # noqa: ARG001
    _call(state, fact).knowledge = fact.knowledge


def _call_classified(state: State, fact: facts.CallClassified, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    if fact.priority_class != call.priority_class:
        call.boosted = fact.source in BOOSTS
    if fact.source is ClassSource.MENU:
        call.menu_key, call.boosted = fact.detail, False
    call.queue, call.priority_class, call.language = fact.queue, fact.priority_class, fact.language
    call.classified_by = fact.source
    call.stays = call.stays or fact.source is ClassSource.OVERFLOW


def _call_upgraded(state: State, fact: facts.CallUpgraded, at: Instant) -> None:
    call = _call(state, fact)
    if call.elsewhere_since is None:
        _move_call(call, fact)
        call.leaving_for, call.diverted = None, False
    call.queue, call.tier, call.upgraded_at = fact.queue, Tier.EMERGENCY, at
    _forget_dialogue(call)
    if call.callback is not None:  # they are among the 999 instead
        _give_up_agent(state, call.callback)
        call.callback = None
        state.promises.upgraded += 1


def _call_escalated(state: State, fact: facts.CallEscalated, at: Instant) -> None:
    call = _call(state, fact)
    call.rung, call.rung_at = fact.rung, at


def _call_marked_assisted(state: State, fact: facts.CallMarkedAssisted, at: Instant) -> None:  # noqa: ARG001
    _call(state, fact).assisted = True


def _call_turned_away(state: State, fact: facts.CallTurnedAway, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.leaving_for, call.diverted = fact.why, False
    _forget_dialogue(call)
    call.announcement, call.announced_at = fact.prompt, at


def _call_diverted(state: State, fact: facts.CallDiverted, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.leaving_for, call.diverted, call.announcement = fact.why, True, None
    _forget_dialogue(call)


def _diversion_answered(state: State, fact: facts.DiversionAnswered, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.elsewhere_since = at


def _call_passed_on(state: State, fact: facts.CallPassedOn, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    _release(state, call, at)
    call.passed_on, call.passed_to, call.held = True, fact.to_agent, False


def _call_taken_over(state: State, fact: facts.CallTakenOver, at: Instant) -> None:
    call = _call(state, fact)
    if fact.offer_id in state.offers:
        raise IllegalFactError(f"offer {fact.offer_id} was taken over twice")
    _move_call(call, fact)
    _nobody_has(call)
    call.claimed_by, call.claimed_at, call.agent, call.connected_at = fact.offer_id, at, fact.agent, at
    state.offers[fact.offer_id] = Offer(
        offer_id=fact.offer_id,
        call_id=fact.call_id,
        agent=fact.agent,
        phone=fact.phone,
        made_at=at,
        ring_seconds=0.0,
        queue=call.queue,
        emergency=call.tier == Tier.EMERGENCY,
        taken_over=True,
        connected_at=at,
        state=OfferState.ANSWERED,
    )
    if (record := _occupied(state, fact.agent)) is not None:
        record.last_call_id = fact.call_id
        occupy_with_next(state, record)


def _release(state: State, call: Call, at: Instant) -> None:
    """The caller went on without the agent, whose leg ends by itself."""
    offer = state.offers.get(call.claimed_by or "")
    if offer is not None and offer.released_at is None:
        offer.released_at = at


def _call_sent_back(state: State, fact: facts.CallSentBack, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    _release(state, call, at)
    _waits_again(call, at)
    _nobody_has(call)
    call.queue, call.classified_by = fact.queue, ClassSource.HANDLER
    call.refused_by.clear()
    call.rejected_by.clear()
    if fact.agent is not None:
        call.refused_by[fact.agent] = at  # not back to who sent it while another may take it


def _waits_again(call: Call, at: Instant) -> None:
    """After a conversation an unanswered 999 begins at the foot of the ladder again; its place is that of its joining."""
    if call.connected_at is not None:
        call.waits_again_since, call.rung, call.rung_at = at, Rung.NEXT_AGENT, None


def _nothing_held(state: State, fact: facts.Fact, at: Instant) -> None:
    """A fact for the record alone."""


def _call_answered(state: State, fact: facts.CallAnswered, at: Instant) -> None:
    _call(state, fact).answered_at = at


def _call_queued(state: State, fact: facts.CallQueued, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    if call.queue and fact.queued_at != call.queued_at:
        call.stays = True  # took an older place: it is not this caller who has waited so long
    call.queue, call.priority_class, call.tier = fact.queue, fact.priority_class, fact.tier
    call.queued_at = fact.queued_at
    _waits_again(call, at)
    _nobody_has(call)


def _announcement_started(state: State, fact: facts.AnnouncementStarted, at: Instant) -> None:
    call = _call(state, fact)
    call.announcement, call.announced_at = fact.prompt, at


def _announcement_ended(state: State, fact: facts.AnnouncementEnded, at: Instant) -> None:
    call = _call(state, fact)
    call.announcement, call.quiet_at = None, at
    if not fact.completed and not fact.cut:
        call.prompts_failed.append(fact.prompt)
    elif fact.completed and fact.prompt not in call.prompts_heard:
        call.prompts_heard.append(fact.prompt)


def _offer_made(state: State, fact: facts.OfferMade, at: Instant) -> None:
    call = _call(state, fact)
    record = _occupied(state, fact.agent)
    if fact.offer_id in state.offers or (record is not None and record.activity is not Activity.IDLE):
        raise IllegalFactError(f"offer {fact.offer_id} to agent {fact.agent}, who is not free")
    _move_call(call, fact)
    if record is None and fact.agent not in NOT_PEOPLE:
        record = _record(state, fact.agent, at)  # a supervisor who is not signed in, at their usual phone
    if call.callback is None and call.is_routine:
        state.promises.out_of_turn += _overtakes_promise(state, call, fact.agent, at)
    call.offers_made += 1
    call.live_offers.append(fact.offer_id)
    state.offers[fact.offer_id] = Offer(
        offer_id=fact.offer_id,
        call_id=fact.call_id,
        agent=fact.agent,
        phone=fact.phone,
        made_at=at,
        ring_seconds=fact.ring_seconds,
        queue=call.queue,
        emergency=call.tier == Tier.EMERGENCY,
    )
    if record is not None:
        record.activity, record.offer_id = Activity.OFFERED, fact.offer_id


def _overtakes_promise(state: State, call: Call, agent: str, at: Instant) -> bool:
    """Whether a call-back of the same queue and class that joined earlier, and had nothing in its way, was due for this agent."""
    callback = CallState.CALLBACK  # looked up once: hundreds may wait, and this is asked for each offer
    waiting = [other for other in state.calls.values() if other.state is callback]
    if any(other.callback is not None and other.callback.barred for other in waiting):
        return False  # noted once, for all behind it
    return any(
        (other.queue, other.priority_class) == (call.queue, call.priority_class)
        and other.queued_at.monotonic_ns < call.queued_at.monotonic_ns
        and agent not in other.refused_by
        and (
            other.callback is None
            or other.callback.not_before is None
            or other.callback.not_before.monotonic_ns <= at.monotonic_ns
        )
        for other in waiting
    )


def _offer_rang(state: State, fact: facts.OfferRang, at: Instant) -> None:
    _offer(state, fact).rang_at = at
    if (record := _occupied(state, fact.agent)) is not None:
        record.crossed_in_a_row = 0


def _offer_answered(state: State, fact: facts.OfferAnswered, at: Instant) -> None:
    call = _call(state, fact)
    if facts.OfferAnswered not in CALL_TRANSITIONS[call.state]:
        raise IllegalFactError(f"OfferAnswered while call {call.call_id} is {call.state}")
    _offer(state, fact).outcome = None
    _move_call(call, fact)
    _forget_live(call, fact.offer_id)
    call.claimed_by, call.claimed_at, call.agent = fact.offer_id, at, fact.agent
    _forget_dialogue(call)
    if (record := _occupied(state, fact.agent)) is not None:
        record.activity, record.last_call_id = Activity.TALKING, fact.call_id
        record.missed_in_a_row = 0
        record.rest_since = record.rest_outcome = None


def _offer_withdrawn(state: State, fact: facts.OfferWithdrawn, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.withdrawn_at, offer.outcome = at, fact.outcome
    record = _occupied(state, fact.agent)
    talked = record is not None and record.activity is Activity.TALKING
    if (
        record is not None and talked and record.offer_id == fact.offer_id
    ):  # answered, and never reached its caller
        record.activity = Activity.OFFERED
    _note_refusal(state, fact, fact.outcome, at)
    _take_off_call(state, fact)


def _offer_ended(state: State, fact: facts.OfferEnded, at: Instant) -> None:
    _offer(state, fact)
    del state.offers[fact.offer_id]
    call = state.calls.get(fact.call_id)
    if call is not None and call.state is CallState.TALKING and call.claimed_by == fact.offer_id:
        call.agent_left_at = at
    record = _occupied(state, fact.agent)
    if record is not None and record.offer_id == fact.offer_id:
        record.activity, record.offer_id, record.freed_at = Activity.IDLE, None, at
        if fact.outcome is OfferOutcome.ANSWERED:
            record.idle_since = at
        if fact.outcome is OfferOutcome.MISSED:
            record.missed_in_a_row += 1
        occupy_with_next(state, record)
    _note_refusal(state, fact, fact.outcome, at)
    _take_off_call(state, fact)


def _note_refusal(state: State, fact: facts.OfferFact, outcome: OfferOutcome, at: Instant) -> None:
    record = _occupied(state, fact.agent)
    if record is not None and outcome in REFUSALS:
        record.rest_since, record.rest_outcome = at, outcome
    if record is not None and outcome is OfferOutcome.CROSSED:
        record.note_crossing(at)
    call = state.calls.get(fact.call_id)
    if call is not None and (outcome in REFUSALS or outcome is OfferOutcome.LOST):
        call.refused_by[fact.agent] = at
        if outcome is not OfferOutcome.MISSED:
            call.rejected_by[fact.agent] = at


def _take_off_call(state: State, fact: facts.OfferFact) -> None:
    """The offer no longer rings for its call; without any live offer the call waits again."""
    call = state.calls.get(fact.call_id)
    if call is None or fact.offer_id not in call.live_offers:
        return
    _forget_live(call, fact.offer_id)
    if call.state in (CallState.OFFERED, CallState.RESERVING) and not call.live_offers:
        _move_call(call, fact)


def _forget_live(call: Call, offer_id: str) -> None:
    if offer_id in call.live_offers:
        call.live_offers.remove(offer_id)


def _call_connected(state: State, fact: facts.CallConnected, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.connected_at = at
    call.first_connected_at = call.first_connected_at or at
    call.agent_left_at = None if fact.offer_id in state.offers else at
    if fact.offer_id in state.offers:
        state.offers[fact.offer_id].connected_at = at
    if call.callback is not None:
        call.callback.in_flight = False
        call.callback.kept_at = call.callback.kept_at or at
    _note_departure(state, call, at, gave_up=False)
    services = state.services.setdefault(call.queue, [])
    services.append(at)
    del services[:-SERVICES_REMEMBERED]


def _call_returned(state: State, fact: facts.CallReturned, at: Instant) -> None:
    call = _call(state, fact)
    was_leaving = call.state is CallState.LEAVING
    _move_call(call, fact)
    call.stays = call.stays or was_leaving
    if call.connected_at is not None:
        _release(state, call, at)
    _waits_again(call, at)
    _nobody_has(call)


def _nobody_has(call: Call) -> None:
    call.claimed_by = call.claimed_at = call.agent = call.passed_to = None
    call.connected_at = call.agent_left_at = call.elsewhere_since = None
    call.held = call.passed_on = call.diverted = False
    call.leaving_for = None


def _call_held(state: State, fact: facts.CallHeld, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.held = True


def _call_resumed(state: State, fact: facts.CallResumed, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.held = False


def _fallback_entered(state: State, fact: facts.FallbackEntered, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.live_offers.clear()
    _forget_dialogue(call)
    _waits_again(call, at)
    _nobody_has(call)
    if call.callback is not None:
        _give_up_agent(state, call.callback)


def _fallback_connected(state: State, fact: facts.FallbackConnected, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    if call.callback is not None:
        call.callback.in_flight = False
        call.callback.kept_at = call.callback.kept_at or at
    call.connected_at, call.agent = at, fact.agent
    call.first_connected_at = call.first_connected_at or at
    if (record := state.agents.get(fact.agent or "")) is not None:
        record.last_call_id = fact.call_id


def _call_ended(state: State, fact: facts.CallEnded, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    _note_end(state, call, fact, at)
    if call.callback is not None:
        _give_up_agent(state, call.callback)
    del state.calls[fact.call_id]
    state.ended.pop(fact.call_id, None)
    state.ended[fact.call_id] = at
    if fact.unseen_since is not None and state.untraced:
        state.untraced[max(state.untraced)].lost[fact.call_id] = call
    if state.untraced:
        return  # nobody is forgotten until the switch's own record was compared with who is known
    while at.since(state.ended[oldest := next(iter(state.ended))]) > ENDED_MEMORY_SECONDS:
        del state.ended[oldest]


def _note_end(state: State, call: Call, fact: facts.CallEnded, at: Instant) -> None:
    """What the next callers are expected by, and what became of a promise."""
    if fact.outcome is CallOutcome.ABANDONED and call.is_routine:
        _note_departure(state, call, at, gave_up=True)
    if fact.outcome is CallOutcome.ANSWERED and fact.talked_seconds > 0.0 and call.is_routine:
        _remember(state.handlings, call.queue, fact.talked_seconds)
    if call.callback is None:
        return
    match fact.outcome:
        case _ if call.callback.kept_at is not None:
            state.promises.kept += 1
        case CallOutcome.ANSWERED | CallOutcome.ENDED_UNKNOWN:
            state.promises.kept += 1
        case CallOutcome.MERGED:
            state.promises.merged += 1
        case CallOutcome.CANCELLED:
            state.promises.cancelled += 1
        case _:
            state.promises.became_tasks += 1


def _note_departure(state: State, call: Call, at: Instant, *, gave_up: bool) -> None:
    """A 101 has left its queue for the first time: whether it gave up, and by how much it was expected wrongly."""
    if not call.is_routine or (call.first_connected_at or at) != at:
        return
    _remember(state.departures, call.queue, gave_up)
    if call.prediction is None or gave_up:
        return
    waited_seconds = at.since(call.prediction.at)
    outside_seconds = max(
        call.prediction.low_seconds - waited_seconds, waited_seconds - call.prediction.high_seconds, 0.0
    )
    _remember(state.prediction_errors, call.queue, outside_seconds / max(waited_seconds, 1.0))


Sample = TypeVar("Sample")


def _remember(samples: dict[str, list[Sample]], queue: str, sample: Sample) -> None:
    known = samples.setdefault(queue, [])
    known.append(sample)
    del known[:-SAMPLES_REMEMBERED]


# ---------------------------------------------------------------------- call-backs


def _wait_predicted(state: State, fact: facts.WaitPredicted, at: Instant) -> None:
    _call(state, fact).prediction = Prediction(
        at=at, low_seconds=fact.low_seconds, high_seconds=fact.high_seconds
    )


def _callback_offered(state: State, fact: facts.CallbackOffered, at: Instant) -> None:
    _call(state, fact).callback_offered_at = at


def _callback_asked(state: State, fact: facts.CallbackAsked, at: Instant) -> None:
    call = _call(state, fact)
    call.asked, call.asked_again, call.asked_at = fact.asked, fact.again, at


def _callback_number_keyed(state: State, fact: facts.CallbackNumberKeyed, at: Instant) -> None:  # noqa: ARG001
    _call(state, fact).keyed_number = fact.number


def _callback_declined(state: State, fact: facts.CallbackDeclined, at: Instant) -> None:  # noqa: ARG001
    _forget_dialogue(_call(state, fact))


def _forget_dialogue(call: Call) -> None:
    call.asked, call.asked_again, call.asked_at, call.keyed_number = None, False, None, None


def _callback_promised(state: State, fact: facts.CallbackPromised, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    _forget_dialogue(call)
    call.callback = Callback(number=fact.number, keyed=fact.keyed, promised_at=at, into=fact.into)
    state.promises.made += 1
    if fact.number is not None:
        state.promised_to.setdefault(fact.number, []).append(at)
    for number, times in tuple(state.promised_to.items()):
        times[:] = [earlier for earlier in times if at.since(earlier) < DAY_SECONDS]
        if not times:
            del state.promised_to[number]


def _promise(call: Call) -> Callback:
    """What was promised. Nothing is changed."""
    if call.callback is None:
        raise IllegalFactError(f"call {call.call_id} was promised no call-back")
    return call.callback


def _callback_confirmed(state: State, fact: facts.CallbackConfirmed, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    promise.confirmed = True


def _callback_revoked(state: State, fact: facts.CallbackRevoked, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.callback = None
    state.promises.made -= 1


def _callback_waits(state: State, fact: facts.CallbackWaits, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    _nobody_has(call)
    call.leg_id, call.announcement, call.quiet_at = "", None, at
    promise.in_flight, promise.into = False, None
    call.refused_by.clear()
    call.rejected_by.clear()


def _callback_attempted(state: State, fact: facts.CallbackAttempted, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    record = _occupied(state, fact.agent)
    if promise.in_flight:
        raise IllegalFactError(f"call {call.call_id} has an attempt in flight")
    if fact.offer_id is None and (record is None or record.activity is not Activity.IDLE):
        raise IllegalFactError(f"agent {fact.agent} is not free to be kept for call {call.call_id}")
    _move_call(call, fact)
    promise.attempt, promise.in_flight, promise.attempted_at = fact.attempt, True, at
    promise.ring_seconds, promise.unrung_seconds = fact.ring_seconds, fact.unrung_seconds
    promise.dialled_at = promise.rang_at = promise.answered_at = promise.picked_up_at = None
    promise.not_before = None
    if fact.offer_id is None and record is not None:
        promise.kept_agent = fact.agent
        record.activity, record.reserved_for = Activity.RESERVED, fact.call_id


def _callback_dialled(state: State, fact: facts.CallbackDialled, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    promise.dialled_at = at
    state.dials = [*(earlier for earlier in state.dials if at.since(earlier) < HOUR_SECONDS), at]


def _callback_rang(state: State, fact: facts.CallbackRang, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    promise.rang_at = at
    _trunk_works(state)


def _trunk_works(state: State) -> None:
    state.trunk_failures, state.trunk_rests_until = 0, None


def _callback_silent(state: State, fact: facts.CallbackSilent, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    promise.not_before = fact.not_before


def _callback_answered(state: State, fact: facts.CallbackAnswered, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    call.leg_id, call.claimed_at = fact.leg_id, at
    promise.answered_at = at
    _trunk_works(state)


def _callback_picked_up(state: State, fact: facts.CallbackPickedUp, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    call.leg_id = fact.leg_id
    promise.in_flight = True
    promise.answered_at = promise.picked_up_at = at
    promise.check_seconds = fact.check_seconds
    _trunk_works(state)


def _callback_present(state: State, fact: facts.CallbackPresent, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    promise.picked_up_at = None
    _give_up_agent(state, promise)
    _nobody_has(call)


def _give_up_agent(state: State, promise: Callback) -> None:
    """The agent who was kept for the person is free again, at the turn that they had."""
    record = state.agents.get(promise.kept_agent or "")
    promise.kept_agent = None
    if record is not None and record.activity is Activity.RESERVED:
        record.activity, record.reserved_for = Activity.IDLE, None


def _callback_attempt_ended(state: State, fact: facts.CallbackAttemptEnded, at: Instant) -> None:
    call = _call(state, fact)
    promise = _promise(call)
    _move_call(call, fact)
    _give_up_agent(state, promise)
    if call.connected_at is not None:
        _release(state, call, at)
    _nobody_has(call)
    promise.in_flight, promise.last_outcome, promise.not_before = False, fact.outcome, fact.not_before
    promise.picked_up_at = promise.kept_at = None
    promise.counted += fact.counted
    promise.preemptions += fact.outcome is AttemptOutcome.PREEMPTED
    promise.network_failures += fact.outcome is AttemptOutcome.NETWORK
    call.leg_id, call.announcement = "", None
    if fact.queued_at is not None:
        call.queued_at = fact.queued_at


def _callback_barred(state: State, fact: facts.CallbackBarred, at: Instant) -> None:  # noqa: ARG001
    _promise(_call(state, fact)).barred = fact.why


def _callback_matched(state: State, fact: facts.CallbackMatched, at: Instant) -> None:
    promise = _promise(_call(state, fact))
    promise.matched_by.append(fact.by_call)
    if fact.emergency:
        promise.emergency_since = promise.emergency_since or at


def _callback_moved(state: State, fact: facts.CallbackMoved, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _promise(call)
    call.queue, call.priority_class, call.boosted = fact.queue, fact.priority_class, fact.boosted
    if fact.queued_at is not None:
        call.queued_at = fact.queued_at
    else:
        call.classified_by = ClassSource.HANDLER


def _callback_offering_set(state: State, fact: facts.CallbackOfferingSet, at: Instant) -> None:  # noqa: ARG001
    state.offering_paused = not fact.active


def _callback_offering_turned(state: State, fact: facts.CallbackOfferingTurned, at: Instant) -> None:  # noqa: ARG001
    state.offering[fact.queue] = fact.active


def _trunk_rested(state: State, fact: facts.TrunkRested, at: Instant) -> None:
    state.trunk_failures, state.trunk_rests_until = fact.failures, at.plus(fact.seconds)


def _record(state: State, agent: str, at: Instant) -> AgentRecord:
    return state.agents.setdefault(agent, AgentRecord(agent=agent, since=at, idle_since=at))


def _known(state: State, agent: str) -> AgentRecord:
    """The record of an agent who has signed in before. Nothing is changed."""
    record = state.agents.get(agent)
    if record is None:
        raise IllegalFactError(f"agent {agent} was never signed in")
    return record


def _occupied(state: State, agent: str) -> AgentRecord | None:
    """Whom an offer occupies: None where the far end is another force or a test phone. Nothing is changed."""
    return state.agents.get(agent)


def _agent_signed_in(state: State, fact: facts.AgentSignedIn, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.phone, record.missed_in_a_row, record.wrap_up_owed_seconds = fact.phone, 0, 0.0
    record.crossed_in_a_row = 0
    record.rest_since = record.rest_outcome = record.declined_task_at = None
    if record.activity is Activity.IDLE:
        record.idle_since = at


def _agent_signed_out(state: State, fact: facts.AgentSignedOut, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.phone = record.not_ready_reason = None
    if record.activity is Activity.WRAP_UP:
        record.activity, record.wrap_up_until = Activity.IDLE, None


def _agent_became_ready(state: State, fact: facts.AgentBecameReady, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.not_ready_reason, record.idle_since, record.missed_in_a_row = None, at, 0
    record.rest_since = record.rest_outcome = record.declined_task_at = None


def _agent_became_not_ready(state: State, fact: facts.AgentBecameNotReady, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.not_ready_reason = fact.reason


def _wrap_up_started(state: State, fact: facts.WrapUpStarted, at: Instant) -> None:
    record = _known(state, fact.agent)
    if record.activity is not Activity.IDLE:
        raise IllegalFactError(f"WrapUpStarted while agent {fact.agent} is {record.activity}")
    record.activity, record.wrap_up_until = Activity.WRAP_UP, at.plus(fact.seconds)
    record.wrap_up_emergency, record.wrap_up_owed_seconds = fact.emergency, 0.0


def _wrap_up_ended(state: State, fact: facts.WrapUpEnded, at: Instant) -> None:
    record = _known(state, fact.agent)
    if record.activity is not Activity.WRAP_UP:
        raise IllegalFactError(f"WrapUpEnded while agent {fact.agent} is {record.activity}")
    record.activity, record.wrap_up_until, record.idle_since = Activity.IDLE, None, at


def _wrap_up_broken(state: State, fact: facts.WrapUpBroken, at: Instant) -> None:
    record = _known(state, fact.agent)
    if record.activity is not Activity.WRAP_UP:
        raise IllegalFactError(f"WrapUpBroken while agent {fact.agent} is {record.activity}")
    record.activity, record.wrap_up_until, record.idle_since = Activity.IDLE, None, at
    record.wrap_up_owed_seconds = fact.seconds


def _agent_missed_offers(state: State, fact: facts.AgentMissedOffers, at: Instant) -> None:
    record = _known(state, fact.agent)
    record.missed_in_a_row = 0
    if fact.kept_ready:
        record.idle_since = at  # behind everybody else who is free now


def _supervision_began(state: State, fact: facts.SupervisionBegan, at: Instant) -> None:  # noqa: ARG001
    if fact.call_id is not None:
        state.supervised[fact.supervisor] = fact.call_id


def _supervision_ended(state: State, fact: facts.SupervisionEnded, at: Instant) -> None:  # noqa: ARG001
    state.supervised.pop(fact.supervisor, None)


def _incident_declared(state: State, fact: facts.IncidentDeclared, at: Instant) -> None:  # noqa: ARG001
    state.incident_since = state.incident_since or at


def _incident_ended(state: State, fact: facts.IncidentEnded, at: Instant) -> None:  # noqa: ARG001
    state.incident_since = None


def _equipment_checked(state: State, fact: facts.EquipmentChecked, at: Instant) -> None:
    state.checks.pop(fact.probe, None)
    state.checks[fact.probe] = EquipmentCheck(at=at, verdict=fact.verdict, figure=fact.figure)
    while len(state.checks) > CHECKS_REMEMBERED:
        del state.checks[next(iter(state.checks))]


def _phone_changed(state: State, fact: facts.PhoneChanged, at: Instant) -> None:
    before = state.phones.get(fact.phone, PhoneState.UNKNOWN)
    state.phones[fact.phone] = fact.state
    if before is PhoneState.BUSY and fact.state is PhoneState.IDLE:
        state.phones_left_off_at[fact.phone] = at
    if before not in (PhoneState.UNAVAILABLE, PhoneState.UNKNOWN):
        return  # our own attempt made it busy and idle again: that says nothing about the phone
    for record in state.agents.values():
        if record.phone == fact.phone and record.rest_outcome is OfferOutcome.UNREACHABLE:
            record.rest_since = record.rest_outcome = None


_FOLDS: dict[type[facts.Fact], Callable[[State, Any, Instant], None]] = {
    facts.LedgerSynthesised: _nothing_held,
    facts.DaemonStarted: _daemon_started,
    facts.DaemonStopped: _daemon_stopped,
    facts.SwitchLost: _switch_lost,
    facts.SwitchRestored: _switch_restored,
    facts.GapEnded: _gap_ended,
    facts.GapTraced: _gap_traced,
    facts.ClockChanged: _clock_changed,
    facts.ClockStepped: _nothing_held,
    facts.ClockSlewed: _nothing_held,
    facts.FactsLost: _facts_lost,
    facts.LedgerTroubleBegan: _ledger_trouble_began,
    facts.LedgerTroubleEnded: _ledger_trouble_ended,
    facts.CallArrived: _call_arrived,
    facts.CallAnswered: _call_answered,
    facts.CallQueued: _call_queued,
    facts.AnnouncementStarted: _announcement_started,
    facts.AnnouncementEnded: _announcement_ended,
    facts.OfferMade: _offer_made,
    facts.OfferRang: _offer_rang,
    facts.OfferAnswered: _offer_answered,
    facts.OfferWithdrawn: _offer_withdrawn,
    facts.OfferEnded: _offer_ended,
    facts.CallConnected: _call_connected,
    facts.CallReturned: _call_returned,
    facts.CallHeld: _call_held,
    facts.CallResumed: _call_resumed,
    facts.FallbackEntered: _fallback_entered,
    facts.FallbackConnected: _fallback_connected,
    facts.CallEnded: _call_ended,
    facts.CallTraced: _call_traced,
    facts.AgentSignedIn: _agent_signed_in,
    facts.AgentSignedOut: _agent_signed_out,
    facts.AgentBecameReady: _agent_became_ready,
    facts.AgentBecameNotReady: _agent_became_not_ready,
    facts.WrapUpStarted: _wrap_up_started,
    facts.WrapUpEnded: _wrap_up_ended,
    facts.PhoneChanged: _phone_changed,
    facts.CallerRecognised: _caller_recognised,
    facts.CallClassified: _call_classified,
    facts.CallUpgraded: _call_upgraded,
    facts.CallEscalated: _call_escalated,
    facts.CallMarkedAssisted: _call_marked_assisted,
    facts.CallTurnedAway: _call_turned_away,
    facts.CallDiverted: _call_diverted,
    facts.DiversionAnswered: _diversion_answered,
    facts.CallPassedOn: _call_passed_on,
    facts.CallTakenOver: _call_taken_over,
    facts.CallConsulted: _nothing_held,
    facts.CallSentBack: _call_sent_back,
    facts.CallAnnotated: _nothing_held,
    facts.WrapUpBroken: _wrap_up_broken,
    facts.WrapUpCoded: _nothing_held,
    facts.AgentMissedOffers: _agent_missed_offers,
    facts.AssistAsked: _nothing_held,
    facts.SupervisionBegan: _supervision_began,
    facts.SupervisionEnded: _supervision_ended,
    facts.SupervisorInvited: _nothing_held,
    facts.IncidentDeclared: _incident_declared,
    facts.IncidentEnded: _incident_ended,
    facts.EquipmentChecked: _equipment_checked,
    facts.AlarmRaised: _alarm_raised,
    facts.WaitPredicted: _wait_predicted,
    facts.CallbackOffered: _callback_offered,
    facts.CallbackAsked: _callback_asked,
    facts.CallbackNumberKeyed: _callback_number_keyed,
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
    facts.CallbackBarred: _callback_barred,
    facts.CallbackMatched: _callback_matched,
    facts.CallbackMoved: _callback_moved,
    facts.CallbackOfferingSet: _callback_offering_set,
    facts.CallbackOfferingTurned: _callback_offering_turned,
    facts.TrunkRested: _trunk_rested,
    **TASK_FOLDS,
}


def rebase(thing: Any, now: Instant) -> Any:
    """The same state or value with monotonic readings of another boot carried over to this boot's clock, by way of UTC.

    The monotonic clock starts anew with each boot; UTC is what both boots share, so these durations are only as good as it.
    """
    if isinstance(thing, Instant):
        return Instant(now.monotonic_ns - (now.utc_us - thing.utc_us) * 1000, thing.utc_us)
    if isinstance(thing, dict):
        return {key: rebase(value, now) for key, value in thing.items()}
    if isinstance(thing, list):
        return [rebase(value, now) for value in thing]
    if is_dataclass(thing) and not isinstance(thing, type):
        changes = {part.name: rebase(getattr(thing, part.name), now) for part in fields(thing)}
        return replace(thing, **changes)
    return thing
