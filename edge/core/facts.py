"""Facts: what we hold true, recorded in order and never changed. Past tense, one line of meaning each.

A fact's instant, sequence, reason and the state of the clock stand around it in its `Entry`. Fields marked `personal()`
are kept apart in the ledger, so that they can be erased without breaking the chain (DESIGN: personal data).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_args

from edge.core.model import (
    Blindness,
    Bound,
    CallerKnowledge,
    CallOutcome,
    CheckVerdict,
    ClassSource,
    ClockState,
    Instant,
    OfferOutcome,
    PhoneState,
    Rung,
    Side,
    Stage,
    Supervision,
    TransferKind,
)
from edge.core.promise import Asked, AttemptOutcome, Judgement, TaskAttemptOutcome, TaskKind, TaskOutcome


def personal() -> Any:
    """A field that is personal data: None once erased."""
    return field(default=None, metadata={"personal": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSynthesised:
    """Everything that follows was made up (`edge ledger synthesise`): the first fact of such a ledger, and of no other."""

    calls: int
    seed: int
    until_utc_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsLost:
    """Facts `first` up to this one could not be read any more when the ledger's damaged file was set aside as `kept_as`. It
    stands in the place of the last of them, dated like the fact before them, so that every reader comes to the hole where it is.

    `previous_hash`: of the fact before them; `next_hash`: of the fact after, which stands as it was found, since what it was
    linked to is lost; `lost_hash`: of the last that is lost, where the ledger still said so: what follows is linked to that.
    """

    first: int
    why: str
    kept_as: str
    mended_at: Instant
    until: Instant | None
    """When the fact after them was recorded."""
    previous_hash: str
    next_hash: str = ""
    lost_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStarted:
    """The daemon began to act on this ledger."""

    version: str
    policy_digest: str
    boot_id: str
    alive_at: Instant | None = None
    """The last sign of life that the one before left beside the ledger, where it is later than its last fact."""
    hung: bool = False
    """The one before was ended, or ended itself, because it stood still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopped:
    """The daemon stopped on purpose. Its absence before the next `DaemonStarted` means that it was killed."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchLost:
    """From here on the switch was not seen."""

    link: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRestored:
    """The switch was seen again and compared with what we held."""

    calls_adopted: int
    calls_kept: int
    calls_missing: int
    switch_boot: str = ""
    """Tells one life of the switch from the next."""
    restarted: bool = False
    """It is another life than the one that we saw last: every leg of that one is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEnded:
    """From `since` to this fact the switch was not seen. `bound`: how that beginning is known. `calls`: those that were open,
    whom something may have happened to unseen. Whoever else came meanwhile is told of by `CallTraced` facts, up to `GapTraced`.
    """

    gap: int
    """1 for the first of this ledger, and so on."""
    why: Blindness
    since: Instant
    bound: Bound
    seconds: float
    calls: tuple[str, ...]
    until_switch_utc_us: int | None = None
    """The switch's time when it was seen again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapTraced:
    """The switch's own record of this gap has been read. `complete`: nothing of it was missing or damaged; else see `detail`.

    `calls_seen`: callers in the record; `calls_added`: those of them that we knew nothing of; `calls_corrected`: those whose
    times or end it told better; `calls_unknown`: calls whose end in this gap nobody knows.
    """

    gap: int
    complete: bool
    detail: str
    calls_seen: int
    calls_added: int
    calls_corrected: int
    calls_unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The clock was set by so many seconds at once (back: negative). By the monotonic clock: nothing else moved."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSlewed:
    """The clock was turned by so many seconds (back: negative) little by little, in the course of `over_seconds`."""

    seconds: float
    over_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChanged:
    """The state of the system clock changed."""

    state: ClockState
    error_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTroubleBegan:
    """The ledger was slow or refused; calls went on from memory. Written when it could be written."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTroubleEnded:
    """The ledger takes facts again; those made meanwhile stand before this one, or are named as lost in `detail`."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArrived:
    """A call reached us (or was found waiting: `adopted`)."""

    call_id: str
    leg_id: str
    line: str
    number_withheld: bool
    adopted: bool
    language: str = "en"
    assisted: bool = False
    test: bool = False
    """A synthetic call: out of every figure by default."""
    consultation_of: str | None = None
    """The call of the caller for whom a handler dialled this one: the same contact, and out of every figure."""
    caller_number: str | None = personal()
    caller_name: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """The caller got an answer (200 OK), by the switch on arrival or by an agent. Charging and BT's clock run from here."""

    call_id: str
    by: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued:
    """The call took its place: `queued_at` is its original time of joining, earlier than this fact when adopted."""

    call_id: str
    queue: str
    priority_class: str
    tier: int
    queued_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRecognised:
    """What was known of the caller's number when it called: shown to the handler. The knowledge itself is personal data."""

    call_id: str
    knowledge: CallerKnowledge | None = personal()  # noqa: RUF009


@dataclass(frozen=True, slots=True, kw_only=True)
class CallClassified:
    """The call got another queue, class or language, and kept its time of joining. `detail`: the key, the kind of listing, ..."""

    call_id: str
    queue: str
    priority_class: str
    language: str
    source: ClassSource
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUpgraded:
    """A 101 caller pressed the emergency key: from this instant the call is among the 999, shown as "upgraded 101".

    It never counts in the figures of 999.
    """

    call_id: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEscalated:
    """A waiting 999 has come to this rung."""

    call_id: str
    rung: Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMarkedAssisted:
    """The caller comes through a relay: no timed menu, no automatic dialling, a longer ring at the agent's phone."""

    call_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTurnedAway:
    """A 101 caller is told by `prompt` why they cannot be served here ("closed", "full", ...), and is then let go."""

    call_id: str
    why: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDiverted:
    """A 101 caller is being sent to another number: this phone of the configuration."""

    call_id: str
    why: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversionAnswered:
    """The other number answered: the caller talks there. The emergency key cuts no talk: from here on it is only recorded."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPassedOn:
    """The agent passed the caller on to `target`, outside our queues; the contact goes on there. `agent`: who passed it on."""

    call_id: str
    agent: str | None
    kind: TransferKind
    to_agent: str | None
    target: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConsulted:
    """The agent who has the caller asks a colleague (`with_agent`), or has dialled a line: by their own call `consultation`."""

    call_id: str
    agent: str | None
    with_agent: str | None = None
    line: str | None = None
    consultation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTakenOver:
    """The agent to whom the caller was passed on has them: from here on as if the call had been offered and connected to them."""

    call_id: str
    offer_id: str
    agent: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSentBack:
    """A handler sent the caller to a queue again, at the original time of joining (the wait for the right desk goes on)."""

    call_id: str
    agent: str | None
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnnotated:
    """Something was attached to the call: an incident's reference, a recorder's id and whether it started, stopped, failed."""

    call_id: str
    kind: str
    value: str
    state: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementStarted:
    """The caller began to hear this prompt (or its playing was asked for)."""

    call_id: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementEnded:
    """The prompt ended; not `completed` when it was cut short or could not be played. `cut`: for something better, on purpose."""

    call_id: str
    prompt: str
    completed: bool
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferMade:
    """The call was offered to this agent at this phone."""

    offer_id: str
    call_id: str
    agent: str
    phone: str
    ring_seconds: float
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRang:
    """The agent's phone rang."""

    offer_id: str
    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferAnswered:
    """The agent answered: the call is theirs."""

    offer_id: str
    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferWithdrawn:
    """We asked the agent's leg to end. `outcome` is what the offer will count as."""

    offer_id: str
    call_id: str
    agent: str
    outcome: OfferOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferEnded:
    """The agent's leg is gone and the offer is over."""

    offer_id: str
    call_id: str
    agent: str
    outcome: OfferOutcome
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConnected:
    """Caller and agent hear each other."""

    call_id: str
    offer_id: str
    agent: str
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReturned:
    """The connection failed: the caller is at their place in the queue again, with their original time of joining."""

    call_id: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHeld:
    """The agent put the caller on hold."""

    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResumed:
    """The agent took the caller off hold."""

    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEntered:
    """The switch's own queue took the call."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConnected:
    """The switch's own queue connected the call."""

    call_id: str
    agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The call reached its one terminal state. `stage`: where it was. Seconds are from joining the queue and from connection.

    `unseen_since` is set for `ended_unknown`: the end fell between it and this fact.
    """

    call_id: str
    outcome: CallOutcome
    stage: Stage
    side: Side
    cause: str
    waited_seconds: float
    talked_seconds: float
    agent: str | None
    unseen_since: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTraced:
    """What the switch's own record (`source`) tells of a call in this gap, in the switch's own times; None: nothing.

    `added`: the call was known from nowhere else, and the facts of it before this one were made of the same record. Otherwise it
    corrects what was seen late or not at all: `outcome` then is what became of the call, None while it goes on.
    """

    call_id: str
    gap: int
    source: str
    added: bool
    arrived_at: Instant | None
    answered_at: Instant | None
    fallback_at: Instant | None
    connected_at: Instant | None
    agent: str | None
    ended_at: Instant | None
    outcome: CallOutcome | None
    side: Side
    cause: str
    waited_seconds: float
    talked_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedIn:
    """The agent signed in at this phone, or moved to it."""

    agent: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedOut:
    """The agent signed out."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBecameReady:
    """The agent set themselves ready."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBecameNotReady:
    """The agent set themselves not ready."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpStarted:
    """The agent's conversation ended; work on it goes on for at most `seconds`."""

    agent: str
    call_id: str
    seconds: float
    emergency: bool = False
    """After a 999: no other call breaks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpEnded:
    """The agent's wrap-up ended."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpBroken:
    """A 999 that nobody was free for ended the agent's wrap-up; `seconds` of it are owed and given back afterwards."""

    agent: str
    call_id: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpCoded:
    """The agent said what the call was about."""

    agent: str
    call_id: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMissedOffers:
    """The agent let `missed` offers in a row ring out, and is being set not ready; or, as the last who can take a 999, is only
    moved behind all others (`kept_ready`)."""

    agent: str
    missed: int
    kept_ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistAsked:
    """The agent asked for a supervisor's help. `call_id`: the call they are on, None between calls."""

    agent: str
    call_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionBegan:
    """A supervisor takes part in the agent's conversation."""

    supervisor: str
    agent: str
    call_id: str | None
    mode: Supervision


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionEnded:
    """The supervisor has left again."""

    supervisor: str
    agent: str
    call_id: str | None
    mode: Supervision


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorInvited:
    """The agent asked the supervisor to come into the conversation. If they come, `SupervisionBegan` follows."""

    supervisor: str
    agent: str
    call_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDeclared:
    """A major incident was declared: its messages and policy hold for 101."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEnded:
    """The major incident is over."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentChecked:
    """A check of the equipment is over. `probe`: its name; `figure`: what was measured, in words; `by`: who checked.

    It serves nobody and is in no figure of the service.
    """

    probe: str
    verdict: CheckVerdict
    figure: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPredicted:
    """How long this caller was expected to wait from now on, as a range. `position`: among those whom the same agents may take;
    `agents`: how many of them were at work; `measured`: by talks that were seen, not by the plan's figure."""

    call_id: str
    low_seconds: float
    high_seconds: float
    position: int
    agents: int
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackOffered:
    """The caller was offered a call-back."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAsked:
    """The caller accepted, or answered, and is asked this next; `again`: for the second time."""

    call_id: str
    asked: Asked
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackNumberKeyed:
    """The caller keyed a number."""

    call_id: str
    judgement: Judgement
    number: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDeclined:
    """No call-back for now, and why: the caller goes on waiting."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPromised:
    """The caller is promised a call-back at their place; they are told once this is on disk. `number`: E.164; `keyed`: not the
    one they called from. `into`: the call-back of the same number that goes on for both."""

    call_id: str
    keyed: bool
    into: str | None = None
    number: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackConfirmed:
    """The promise is on disk, and the caller is being told."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRevoked:
    """The promise could not be made durable before the caller was told of it: there is none, and they go on waiting."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackWaits:
    """The caller is off the line; their call waits at its place to be rung."""

    call_id: str
    side: Side
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAttempted:
    """The intent to ring the person: on disk before anything is dialled. `offer_id`: that of the agent who is on the line; None
    where the person comes first and `agent` is kept for them."""

    call_id: str
    attempt: int
    offer_id: str | None
    agent: str
    ring_seconds: float
    unrung_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDialled:
    """The switch was asked to ring the person."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRang:
    """The person's phone rings."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswered:
    """The person, or whoever is there, answered: they are joined to the agent who waits on the line."""

    call_id: str
    attempt: int
    leg_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPickedUp:
    """Caller first: somebody or something answered, and is asked for a key within `check_seconds`."""

    call_id: str
    attempt: int
    leg_id: str
    check_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPresent:
    """Caller first: the person pressed the key, and is a caller on the line again, at their place."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAttemptEnded:
    """The attempt is over without a conversation. `counted`: towards the most that the plan allows. `not_before`: when the next
    may begin. `queued_at`: the new place, where the plan takes the old one away; None: it is kept."""

    call_id: str
    attempt: int
    outcome: AttemptOutcome
    counted: bool
    cause: str
    not_before: Instant
    queued_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSilent:
    """The person's phone, whose ringing had been given up, was seen to ring no more: the next attempt need not wait until it must
    have stopped by itself. `not_before`: when it may begin."""

    call_id: str
    attempt: int
    not_before: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackBarred:
    """An agent is free for this call-back, and this is in its way: others may come first. "": nothing any more."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackMatched:
    """A call came from the number of this call-back: `by_call`. The handler is shown both; no caller is told."""

    call_id: str
    by_call: str
    emergency: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackMoved:
    """A person moved the call-back to this queue and class; or it got the place of another of the same number (`queued_at`)."""

    call_id: str
    queue: str
    priority_class: str
    by: str
    why: str
    queued_at: Instant | None = None
    boosted: bool = False
    """The class came by the caller's number: its head start is capped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackOfferingSet:
    """A supervisor paused or resumed the offering of call-backs."""

    active: bool
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackOfferingTurned:
    """The expected wait of this queue rose above what its plan asks for call-backs to be offered, or fell below it again."""

    queue: str
    active: bool
    expected_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkRested:
    """After a failure of the network nobody is dialled for `seconds`; places are kept. `failures`: in a row."""

    seconds: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOpened:
    """Work for a human: ring somebody back, or look. `rang_seconds`: how long an agent's phone rang for them at the end."""

    task_id: str
    call_id: str
    kind: TaskKind
    detail: str
    waited_seconds: float
    rang_seconds: float
    attempts: int
    calls_in_day: int
    emergency: bool
    number_withheld: bool
    queued_at: Instant | None = None
    """When the call joined: the place that somebody who was lost in a fault has among the tasks, and on calling again."""
    queue: str = ""
    head_start_seconds: float = 0.0
    """How much earlier than it did the call counted as having joined: so does the task."""
    number: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLinked:
    """Another call came from the number of this task: `by_call`."""

    task_id: str
    by_call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssigned:
    """The task is this person's work."""

    task_id: str
    to: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClosed:
    """A named person closed the task."""

    task_id: str
    by: str
    outcome: TaskOutcome
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAsked:
    """The agent asked for the next task. `any_open`: whether there was one that could be offered at all."""

    agent: str
    any_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOffered:
    """An agent's phone is rung for a task; `asked`: because they asked for one. `choose_seconds`: for a key after the answer."""

    task_id: str
    task_offer_id: str
    agent: str
    phone: str
    ring_seconds: float
    choose_seconds: float
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOfferRang:
    """The phone rings."""

    task_id: str
    task_offer_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOfferAnswered:
    """The agent is on the line, and is asked for a key. `dialable`: whether 1 would ring the person."""

    task_id: str
    task_offer_id: str
    agent: str
    dialable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAttempted:
    """The agent pressed the key to ring the person: the intent, on disk before anything is dialled."""

    task_id: str
    task_offer_id: str
    agent: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDialled:
    """The switch was asked to ring the person, once."""

    task_id: str
    task_offer_id: str
    agent: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReached:
    """Somebody or something answered, and talks with the agent."""

    task_id: str
    task_offer_id: str
    agent: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAttemptEnded:
    """What came of ringing the person. `not_before`: when the task may be offered again."""

    task_id: str
    task_offer_id: str
    agent: str
    attempt: int
    outcome: TaskAttemptOutcome
    cause: str
    talked_seconds: float
    not_before: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOfferWithdrawn:
    """The agent's leg is to end. `outcome`: what the offer will count as."""

    task_id: str
    task_offer_id: str
    agent: str
    outcome: OfferOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOfferEnded:
    """The agent's leg has ended. `not_before`: when a task that was declined may be offered again."""

    task_id: str
    task_offer_id: str
    agent: str
    outcome: OfferOutcome
    cause: str
    not_before: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaised:
    """A person should look: `kind` (such as "999 unanswered", "last 999 agent") and in words what and where."""

    kind: str
    detail: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneChanged:
    """The switch saw this phone change."""

    phone: str
    state: PhoneState


Fact = (
    LedgerSynthesised
    | FactsLost
    | DaemonStarted
    | DaemonStopped
    | SwitchLost
    | SwitchRestored
    | GapEnded
    | GapTraced
    | ClockChanged
    | ClockStepped
    | ClockSlewed
    | LedgerTroubleBegan
    | LedgerTroubleEnded
    | CallArrived
    | CallAnswered
    | CallQueued
    | AnnouncementStarted
    | AnnouncementEnded
    | OfferMade
    | OfferRang
    | OfferAnswered
    | OfferWithdrawn
    | OfferEnded
    | CallConnected
    | CallReturned
    | CallHeld
    | CallResumed
    | FallbackEntered
    | FallbackConnected
    | CallEnded
    | CallTraced
    | AgentSignedIn
    | AgentSignedOut
    | AgentBecameReady
    | AgentBecameNotReady
    | WrapUpStarted
    | WrapUpEnded
    | PhoneChanged
    | CallerRecognised
    | CallClassified
    | CallUpgraded
    | CallEscalated
    | CallMarkedAssisted
    | CallTurnedAway
    | CallDiverted
    | DiversionAnswered
    | CallPassedOn
    | CallTakenOver
    | CallConsulted
    | CallSentBack
    | CallAnnotated
    | WrapUpBroken
    | WrapUpCoded
    | AgentMissedOffers
    | AssistAsked
    | SupervisionBegan
    | SupervisionEnded
    | SupervisorInvited
    | IncidentDeclared
    | IncidentEnded
    | EquipmentChecked
    | AlarmRaised
    | WaitPredicted
    | CallbackOffered
    | CallbackAsked
    | CallbackNumberKeyed
    | CallbackDeclined
    | CallbackPromised
    | CallbackConfirmed
    | CallbackRevoked
    | CallbackWaits
    | CallbackAttempted
    | CallbackDialled
    | CallbackRang
    | CallbackAnswered
    | CallbackPickedUp
    | CallbackPresent
    | CallbackAttemptEnded
    | CallbackSilent
    | CallbackBarred
    | CallbackMatched
    | CallbackMoved
    | CallbackOfferingSet
    | CallbackOfferingTurned
    | TrunkRested
    | TaskOpened
    | TaskLinked
    | TaskAssigned
    | TaskClosed
    | TaskAsked
    | TaskOffered
    | TaskOfferRang
    | TaskOfferAnswered
    | TaskAttempted
    | TaskDialled
    | TaskReached
    | TaskAttemptEnded
    | TaskOfferWithdrawn
    | TaskOfferEnded
)

CallFact = (
    CallArrived
    | CallAnswered
    | CallQueued
    | AnnouncementStarted
    | AnnouncementEnded
    | OfferMade
    | OfferRang
    | OfferAnswered
    | OfferWithdrawn
    | OfferEnded
    | CallConnected
    | CallReturned
    | CallHeld
    | CallResumed
    | FallbackEntered
    | FallbackConnected
    | CallEnded
    | CallTraced
    | CallerRecognised
    | CallClassified
    | CallUpgraded
    | CallEscalated
    | CallMarkedAssisted
    | CallTurnedAway
    | CallDiverted
    | DiversionAnswered
    | CallPassedOn
    | CallTakenOver
    | CallConsulted
    | CallSentBack
    | CallAnnotated
    | WaitPredicted
    | CallbackOffered
    | CallbackAsked
    | CallbackNumberKeyed
    | CallbackDeclined
    | CallbackPromised
    | CallbackConfirmed
    | CallbackRevoked
    | CallbackWaits
    | CallbackAttempted
    | CallbackDialled
    | CallbackRang
    | CallbackAnswered
    | CallbackPickedUp
    | CallbackPresent
    | CallbackAttemptEnded
    | CallbackSilent
    | CallbackBarred
    | CallbackMatched
    | CallbackMoved
)
"""Facts of one call."""

OfferFact = OfferMade | OfferRang | OfferAnswered | OfferWithdrawn | OfferEnded
"""Facts of one offer."""

TaskOfferFact = (
    TaskOffered
    | TaskOfferRang
    | TaskOfferAnswered
    | TaskAttempted
    | TaskDialled
    | TaskReached
    | TaskAttemptEnded
    | TaskOfferWithdrawn
    | TaskOfferEnded
)
"""Facts of one offer of a task."""

WRAP_UP_ENDS = (WrapUpEnded, WrapUpBroken, AgentSignedOut)
"""Kinds of facts that end the wrap-up of an agent."""

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}
"""Fact class by its name, which is its `kind` in the ledger."""


def personal_fields(kind: type[Fact]) -> tuple[str, ...]:
    """Names of the fields of this kind of fact that are personal data."""
    return tuple(part.name for part in fields(kind) if part.metadata.get("personal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fact and what stands around it in the ledger."""

    sequence: int
    at: Instant
    fact: Fact
    reason: str
    clock: ClockState
    switch_utc_us: int | None = None
