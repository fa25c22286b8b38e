"""Inputs: what the outside told us, in the words of this domain. Built by a switch adapter or the runtime, never stored as such.

`switch_utc_us` is the switch's own time of the happening in microseconds of UTC, None where it gave none
(ASTERISK.md 2.12 says what each kind of stamp means). Every input may be late, doubled or missing: the engine is idempotent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.core.model import (
    CallerKnowledge,
    CheckVerdict,
    ClockState,
    Instant,
    PhoneState,
    Refusal,
    Side,
    Supervision,
    TransferKind,
)
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome, TaskOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPresented:
    """A call stands before us, newly arrived. `leg_id` is opaque here. `joined_utc_us`: when it joined, by the switch's stamp.

    `consultation_of`: the call of the caller for whom a handler, on another line of their phone, has dialled this one.
    `knowledge` is added by the runtime, not by the switch.
    """

    call_id: str
    leg_id: str
    line: str
    caller_number: str | None
    caller_name: str | None
    number_withheld: bool
    joined_utc_us: int | None = None
    consultation_of: str | None = None
    knowledge: CallerKnowledge | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """The switch turned a 101 away at its entrance: `why` ("no channel to spare"). It never had a place."""

    call_id: str
    leg_id: str
    line: str
    why: str
    caller_number: str | None = None
    caller_name: str | None = None
    number_withheld: bool = False
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPressed:
    """The caller pressed a key (0 to 9, *, #), in whatever state their call is.

    `upgraded`: the switch's own queue has already put the call among its emergencies because of it.
    """

    call_id: str
    key: str
    upgraded: bool = False
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerGone:
    """The caller's leg has ended. `cause`: the switch's own words, for the record. `side`: who hung up, if it is known.

    `cut`: nobody hung up; the network or a fault ended it.
    """

    call_id: str
    side: Side
    cause: str
    cut: bool = False
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRang:
    """The offered phone rings."""

    offer_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAnswered:
    """The offered phone was answered and its leg is in our hands. Never sent for a leg that we already asked to end."""

    offer_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneGone:
    """The agent's leg has ended, at whatever point. `side` says who hung up when the pair was talking."""

    offer_id: str
    refusal: Refusal
    side: Side
    cause: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairJoined:
    """Caller and agent are in one native bridge and hear each other."""

    call_id: str
    offer_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReturned:
    """The hand-over found no agent leg: the caller is back in our hands, alive.

    `offer_id`: the hand-over that failed, where it is known; a late word about an earlier one then does no harm.
    """

    call_id: str
    offer_id: str | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChanged:
    """The agent put the caller on hold, or took them back."""

    offer_id: str
    held: bool
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPassedOn:
    """The agent of this offer passed their caller on to `target` (a number; `agent` where it is one of ours) outside our queues.

    The caller now talks, or is about to, without any leg of ours. If it fails the caller comes back by `PairReturned`.
    """

    call_id: str
    offer_id: str | None
    kind: TransferKind
    target: str
    agent: str | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversionAnswered:
    """The other number to which a 101 was diverted has answered: its caller talks there."""

    call_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationSeen:
    """The agent who talks with this caller talks to a colleague on another line of the phone, whatever becomes of it."""

    call_id: str
    agent: str
    with_agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColleagueAnswered:
    """The agent to whom a caller was passed on has them now, at `phone`. `offer_id`: the name of their leg from here on."""

    call_id: str
    offer_id: str
    agent: str
    phone: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSentBack:
    """A handler sent their caller back to a queue (None: the one they came from). The caller is in our hands again."""

    call_id: str
    queue: str | None
    offer_id: str | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnnotated:
    """Somebody attached something to a call: `kind` "incident" (reference), "recording" (recorder's id) with `value`, ...

    `state`: "started", "stopped" or "failed" for a recording, else "". `by`: who, as they said.
    """

    call_id: str
    kind: str
    value: str
    state: str = ""
    by: str = ""
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMarkedAssisted:
    """A handler, or the CLI, marked the caller as coming through a relay."""

    call_id: str
    by: str = ""
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementFinished:
    """An announcement ended. `completed` is False when it was cut short or could not be played."""

    call_id: str
    prompt: str
    completed: bool
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberKeyed:
    """The caller keyed a number after `CollectNumber`, whole: ended by #, or by a pause. "" when nothing was keyed."""

    call_id: str
    number: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """Everything up to the fact that caused `TellWhenDurable` is on disk. `call_id`: a call, or the offer of a task; `token`:
    that of the effect."""

    call_id: str
    token: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRang:
    """The phone of the person who is called back rings."""

    call_id: str
    attempt: int
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAnswered:
    """Somebody or something answered the call-back, and is in our hands by `leg_id`: the caller's leg from now on."""

    call_id: str
    attempt: int
    leg_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonGone:
    """The attempt ended without an answer, or could not be made. `cause`: the switch's own words, without the number."""

    call_id: str
    attempt: int
    outcome: AttemptOutcome
    cause: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonJudged:
    """The handler says what answered a call-back. The call is named, or the agent who talks on it or did last."""

    outcome: AttemptOutcome
    by: str
    call_id: str | None = None
    agent: str | None = None
    switch_utc_us: int | None = None


class Order(StrEnum):
    """What a person may order about a call-back."""

    CANCEL = "cancel"
    MOVE = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackOrdered:
    """A person cancels or moves a call-back. It is named, or the agent whose talk with the same person closes it (`agent`).

    `queue`, `priority_class`: where it is moved; None: as it is. `by`: who; `why`: in their words.
    """

    order: Order
    by: str
    why: str
    call_id: str | None = None
    agent: str | None = None
    queue: str | None = None
    priority_class: str | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackOfferingSet:
    """A supervisor pauses (`active` False) or resumes the offering of call-backs. Those promised are kept either way."""

    active: bool
    by: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssigned:
    """A task is somebody's work (`to`, a person) from now on."""

    task_id: str
    to: str
    by: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClosed:
    """A named person closes a task. `note`: in their words."""

    task_id: str
    by: str
    outcome: TaskOutcome
    note: str = ""
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKeyed:
    """An agent who answered for a task pressed a key."""

    offer_id: str
    key: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPersonAnswered:
    """Somebody or something answered: the agent of this offer of a task talks with it, by the switch's own doing."""

    offer_id: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPersonGone:
    """The ringing for this offer of a task is over, or the talk is. `cause`: the switch's words, without the number."""

    offer_id: str
    outcome: TaskAttemptOutcome
    cause: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAsked:
    """The agent asks, by code, for the next task at once, whatever its kind."""

    agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpokenWith:
    """The agent says, by code, that the person of the task they were last on the line for was reached: closed."""

    agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """What a person set: signed in at `phone` (None: signed out), and not ready for `not_ready_reason` (None: ready)."""

    agent: str
    phone: str | None
    not_ready_reason: str | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPressed:
    """The agent asked to be ready now, by code or command: any wrap-up ends."""

    agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpCoded:
    """The agent said what the last call was about, by a code of the configuration."""

    agent: str
    code: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistAsked:
    """The agent asked for a supervisor's help with the call they are on."""

    agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionSeen:
    """A supervisor began (`began`) or ended listening, whispering or speaking at this agent's phone."""

    supervisor: str
    agent: str
    mode: Supervision
    began: bool
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorInvited:
    """An agent asks a supervisor to come into the conversation: the supervisor's phone is being rung for it."""

    supervisor: str
    agent: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSet:
    """A major incident was declared (`active`) or ended. `by`: who."""

    active: bool
    by: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentChecked:
    """A check of the equipment is over: a probe of `hwtest watch`, or the heartbeat of a line for test calls.

    `probe`: its name, such as sip.options. `figure`: what was measured, in words, or nothing. `by`: who checked.
    """

    probe: str
    verdict: CheckVerdict
    figure: str
    by: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSeen:
    """The state of a phone, as the switch sees it."""

    phone: str
    state: PhoneState
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackTook:
    """The switch's own queue has taken the call: at entry, by the dead-man, or because we sent it there."""

    call_id: str
    line: str
    leg_id: str
    why: str
    caller_number: str | None = None
    caller_name: str | None = None
    number_withheld: bool = False
    joined_utc_us: int | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackAnswered:
    """The switch's own queue connected the call to this agent (None where the switch named nobody we know)."""

    call_id: str
    agent: str | None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost:
    """A connection to the switch is gone: nothing is seen and nothing can be asked until `Reconciled`."""

    link: str
    error: str
    switch_utc_us: int | None = None


class Standing(StrEnum):
    """Where a caller's leg stands in a snapshot."""

    HELD = "held"
    """In our hands."""
    CONNECTED = "connected"
    """In a bridge with an agent, or on the way there."""
    FALLBACK = "fallback"
    """In the switch's own queue, waiting or served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCall:
    """A caller's leg found in a snapshot. `offer_id`: the agent's leg it is connected to, where that could be seen."""

    call_id: str
    leg_id: str
    line: str
    standing: Standing
    offer_id: str | None = None
    caller_number: str | None = None
    caller_name: str | None = None
    number_withheld: bool = False
    joined_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOffer:
    """An agent's leg found in a snapshot. `away`: out of our hands, because the switch rings somebody for it by itself, or has;
    `talking`: with whom they talk."""

    offer_id: str
    answered: bool
    away: bool = False
    talking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAttempt:
    """The leg of a person who is being called back, found in a snapshot. Who has answered is a `SeenCall` instead."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The switch after a (re)connection: subscribed first, looked at second. Whatever it does not show does not exist.

    `switch_utc_us`: the switch's time when it was looked at.
    """

    calls: tuple[SeenCall, ...] = ()
    offers: tuple[SeenOffer, ...] = ()
    attempts: tuple[SeenAttempt, ...] = ()
    agents: tuple[AgentSeen, ...] = ()
    phones: tuple[PhoneSeen, ...] = ()
    switch_boot: str = ""
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """A caller in the switch's own record, in its own times (microseconds of UTC); None: not in it.

    `agent`: who took the call; `phone`: at which phone of ours, where only that could be told. `latest_utc_us`: the last that the
    record has of the call, its end or not. `refused`: turned away at the entrance. `cut`: ended by the network or a fault.
    `source`: which record. `known`: the ledger has facts of this call already.
    """

    call_id: str
    leg_id: str
    line: str
    caller_number: str | None
    number_withheld: bool
    joined_utc_us: int
    arrived_utc_us: int | None
    answered_utc_us: int | None
    fallback_utc_us: int | None
    connected_utc_us: int | None
    ended_utc_us: int | None
    latest_utc_us: int
    agent: str | None = None
    phone: str | None = None
    upgraded: bool = False
    refused: bool = False
    side: Side = Side.UNKNOWN
    cause: str = ""
    cut: bool = False
    known: bool = False
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRead:
    """The answer to `ReadTrace`: every caller whom the switch's own record tells of in that gap. `complete`: nothing of the
    record was missing or damaged; `detail`: else what. A long answer comes in portions, so that nobody waits for it: `more`
    follow; the last one has `calls_seen`, how many there were in all (None: those of this one)."""

    gap: int
    calls: tuple[TracedCall, ...]
    complete: bool
    detail: str = ""
    more: bool = False
    calls_seen: int | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSeen:
    """The state of the system clock; `error_us`: the kernel's maximum error, None where unknown."""

    state: ClockState
    error_us: int | None = None
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The daemon begins to act on this ledger. `boot_id`: identifies the monotonic clock's origin.

    `alive_at`: the last sign of life of the one before, of the boot `alive_boot_id`; None where it left none. `hung`: it was
    ended because it stood still.
    """

    version: str
    policy_digest: str
    boot_id: str
    alive_at: Instant | None = None
    alive_boot_id: str = ""
    hung: bool = False
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The daemon was asked to stop: it leaves waiting callers to the switch's dead-man and fallback."""

    why: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoodStill:
    """The daemon did nothing from `since` until now: it was stopped, starved or wedged, and goes on."""

    since: Instant
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTrouble:
    """The ledger did not take facts within its bound (`ok` False), or takes them again (`ok` True)."""

    ok: bool
    detail: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMended:
    """The ledger's file was damaged and has been set aside: what could be read of it goes on in a new one. `detail`: in words."""

    detail: str
    switch_utc_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Nothing happened but time: a deadline may have passed."""

    switch_utc_us: int | None = None


Input = (
    CallPresented
    | CallRefused
    | KeyPressed
    | CallPassedOn
    | ColleagueAnswered
    | ConsultationSeen
    | DiversionAnswered
    | CallSentBack
    | CallAnnotated
    | CallMarkedAssisted
    | NumberKeyed
    | Durable
    | PersonRang
    | PersonAnswered
    | PersonGone
    | PersonJudged
    | CallbackOrdered
    | CallbackOfferingSet
    | TaskAssigned
    | TaskClosed
    | AgentKeyed
    | TaskPersonAnswered
    | TaskPersonGone
    | TaskAsked
    | TaskSpokenWith
    | WrapUpCoded
    | AssistAsked
    | SupervisionSeen
    | SupervisorInvited
    | IncidentSet
    | EquipmentChecked
    | CallerGone
    | PhoneRang
    | PhoneAnswered
    | PhoneGone
    | PairJoined
    | PairReturned
    | HoldChanged
    | AnnouncementFinished
    | AgentSeen
    | ReadyPressed
    | PhoneSeen
    | FallbackTook
    | FallbackAnswered
    | LinkLost
    | Reconciled
    | TraceRead
    | StoodStill
    | ClockSeen
    | Started
    | Stopping
    | LedgerTrouble
    | LedgerMended
    | Woken
)
