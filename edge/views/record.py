"""What is kept of one call: every stamp in one place. `edge.views.calls` folds it from facts."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.core.model import (
    CallerKnowledge,
    CallOutcome,
    CallState,
    ClassSource,
    Instant,
    OfferOutcome,
    Rung,
    Side,
    Stage,
    Supervision,
    Tier,
    TransferKind,
)
from edge.core.promise import Asked, AttemptOutcome, Judgement, TaskKind, TaskOutcome
from edge.core.task_state import TaskAttempt


@dataclass(slots=True, kw_only=True)
class OfferRecord:
    """One offer: to whom, and when it was made, rang, was answered, was withdrawn and ended."""

    offer_id: str
    agent: str
    phone: str
    made_at: Instant
    ring_seconds: float
    rang_at: Instant | None = None
    answered_at: Instant | None = None
    withdrawn_at: Instant | None = None
    ended_at: Instant | None = None
    outcome: OfferOutcome | None = None
    cause: str = ""

    @property
    def live(self) -> bool:
        """Whether it is calling or ringing."""
        return self.answered_at is None and self.withdrawn_at is None and self.ended_at is None


@dataclass(slots=True, kw_only=True)
class ConnectionRecord:
    """One time with a person. `ended_at`: when the call was taken from them again; None where it lasted to the call's end.

    `agent`: None where the switch did not name them.
    """

    agent: str | None
    at: Instant
    ended_at: Instant | None = None
    reached: bool = True
    """Not where a machine had answered a call-back, or who answered was gone: nobody was spoken with."""


@dataclass(slots=True, kw_only=True)
class HoldRecord:
    """One time on hold; `ended_at` is None while it lasts."""

    started_at: Instant
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRecord:
    """The call got this queue, class and language, from this source."""

    at: Instant
    queue: str
    priority_class: str
    language: str
    source: ClassSource
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RungRecord:
    """A waiting 999 came to this rung."""

    at: Instant
    rung: Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureRecord:
    """A 101 was told by `prompt` why it could not be served, or was sent to `phone`; the other of the two is None."""

    at: Instant
    why: str
    prompt: str | None = None
    phone: str | None = None
    answered_at: Instant | None = None
    """When the other number answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOnRecord:
    """The agent passed the caller on, outside our queues."""

    at: Instant
    agent: str | None
    kind: TransferKind
    target: str | None
    """None once erased."""
    to_agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationRecord:
    """Whoever had the caller asked a colleague, or dialled a line (their own call there: `call_id`)."""

    at: Instant
    agent: str | None
    with_agent: str | None
    line: str | None
    call_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBackRecord:
    """A handler sent the caller to a queue again."""

    at: Instant
    agent: str | None
    queue: str


@dataclass(slots=True, kw_only=True)
class AnnouncementRecord:
    """What the caller heard; not `completed` when it was cut short, None while it plays."""

    prompt: str
    started_at: Instant
    ended_at: Instant | None = None
    completed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRecord:
    """What somebody attached to the call: `kind` incident with its reference, recording with the recorder's id and state."""

    at: Instant
    kind: str
    value: str
    state: str
    by: str


@dataclass(slots=True, kw_only=True)
class WrapUpRecord:
    """An agent's work on the call after the conversation. `broken`: a 999 ended it, and what was taken is owed."""

    agent: str
    started_at: Instant
    ended_at: Instant | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord:
    """What an agent said the call was about."""

    at: Instant
    agent: str
    code: str


@dataclass(slots=True, kw_only=True)
class SupervisionRecord:
    """A supervisor took part; `ended_at` is None while it lasts."""

    supervisor: str
    agent: str
    mode: Supervision
    started_at: Instant
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRecord:
    """The agent asked the supervisor into the conversation. Who came has a `SupervisionRecord` of mode conference."""

    at: Instant
    agent: str
    supervisor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistRecord:
    """The agent asked for a supervisor's help."""

    at: Instant
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """A person should have looked. `call_id`: the call it is about, if any."""

    at: Instant
    kind: str
    detail: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRecord:
    """What was expected of the wait from then on."""

    at: Instant
    low_seconds: float
    high_seconds: float
    position: int
    agents: int
    measured: bool


@dataclass(slots=True, kw_only=True)
class DialogueRecord:
    """One time that a call-back was accepted: what was asked, which numbers were keyed, and why it came to nothing if it did."""

    accepted_at: Instant
    asked: list[Asked] = field(default_factory=list)
    keyed: list[Judgement] = field(default_factory=list)
    declined_at: Instant | None = None
    declined_why: str = ""


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """One attempt to reach the person of a call-back. `agent`: who was on the line, or (`offer_id` None) was kept for them."""

    attempt: int
    agent: str
    offer_id: str | None
    intended_at: Instant
    dialled_at: Instant | None = None
    rang_at: Instant | None = None
    answered_at: Instant | None = None
    pressed_at: Instant | None = None
    """Caller first: when they pressed the key."""
    ended_at: Instant | None = None
    outcome: AttemptOutcome | None = None
    """How it failed; None while it lasts, and where it led to a conversation."""
    counted: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRecord:
    """Another call came from the number of the call-back."""

    at: Instant
    by_call: str
    emergency: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRecord:
    """A person moved the call-back."""

    at: Instant
    queue: str
    priority_class: str
    by: str
    why: str


@dataclass(slots=True, kw_only=True)
class CallbackRecord:
    """A promised call-back. `number`: E.164, personal data, None once erased; `keyed`: not the one that called."""

    promised_at: Instant
    number: str | None
    keyed: bool
    into: str | None = None
    """The call-back of the same number that goes on for both."""
    confirmed_at: Instant | None = None
    off_line_at: Instant | None = None
    """When the caller was off the line for the first time."""
    off_line_since: Instant | None = None
    """Since when nobody is on the line; None while somebody is."""
    off_line_seconds: float = 0.0
    """How long nobody was on the line, as far as that is over."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    not_before: Instant | None = None
    """When the next attempt may begin."""
    barred: str = ""
    """What is in its way although an agent is free."""
    matched: list[MatchRecord] = field(default_factory=list)
    moved: list[MoveRecord] = field(default_factory=list)

    @property
    def in_flight(self) -> bool:
        """Whether an attempt lasts that has not led to a conversation."""
        return bool(self.attempts) and self.attempts[-1].ended_at is None


@dataclass(slots=True, kw_only=True)
class TaskRecord:
    """Work for a human: ring somebody back, or look. `number`: personal data, None once erased or where there is none."""

    task_id: str
    call_id: str
    kind: TaskKind
    detail: str
    opened_at: Instant
    waited_seconds: float
    rang_seconds: float
    attempts: int
    calls_in_day: int
    emergency: bool
    number_withheld: bool
    number: str | None
    linked: list[str] = field(default_factory=list)
    """Calls that came from the same number since."""
    assigned_to: str | None = None
    assigned_at: Instant | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None
    outcome: TaskOutcome | None = None
    note: str = ""
    rung: list[TaskAttempt] = field(default_factory=list)
    """Each time that the person was rung, by a handler's key."""


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call, open or ended. Seconds are by the monotonic clock; None means that it has not happened."""

    call_id: str
    line: str
    arrived_at: Instant
    adopted: bool
    number_withheld: bool
    caller_number: str | None
    caller_name: str | None
    knowledge: CallerKnowledge | None = None
    """What was known of the number when it called. Personal data."""
    test: bool = False
    """A synthetic call: in no figure."""
    consultation_of: str | None = None
    """The call for whose caller a handler dialled this one: in no figure either."""
    language: str = "en"
    assisted: bool = False
    assisted_by: str | None = None
    """Who marked the caller as assisted while the call lasted."""
    queue: str = ""
    priority_class: str = ""
    tier: int = Tier.ROUTINE
    """Where it stands in the order of service: an upgraded 101 is among the 999. `counted_tier` is for figures."""
    queued_at: Instant
    joined_at: Instant | None = None
    """Its earliest place. `queued_at` is later where a plan takes the place of an unreached call-back away."""
    classes: list[ClassRecord] = field(default_factory=list)
    """Every change of queue, class or language after the line's own, but for upgrading and sending back."""
    upgraded_at: Instant | None = None
    """When the caller pressed the emergency key."""
    queue_before_upgrade: str = ""
    rungs: list[RungRecord] = field(default_factory=list)
    wrap_ups_broken: list[str] = field(default_factory=list)
    """Agents whose wrap-up was broken for this call."""
    answered_at: Instant | None = None
    answered_by: Side | None = None
    announcements: list[AnnouncementRecord] = field(default_factory=list)
    offers: list[OfferRecord] = field(default_factory=list)
    connected_at: Instant | None = None
    """When the person was there who has the call now, or had it at its end."""
    agent: str | None = None
    connections: list[ConnectionRecord] = field(default_factory=list)
    """Every person who had the call, in order."""
    holds: list[HoldRecord] = field(default_factory=list)
    returned_at: list[Instant] = field(default_factory=list)
    sent_back: list[SentBackRecord] = field(default_factory=list)
    passed_on: list[PassedOnRecord] = field(default_factory=list)
    consultations: list[ConsultationRecord] = field(default_factory=list)
    departures: list[DepartureRecord] = field(default_factory=list)
    leaving: bool = False
    """The last of `departures` is in progress, or is how the call ended."""
    fallback_at: Instant | None = None
    fallback_why: str = ""
    claimed: bool = False
    """An agent has answered and is being connected, or is."""
    in_fallback: bool = False
    ended_at: Instant | None = None
    outcome: CallOutcome | None = None
    stage: Stage | None = None
    side: Side | None = None
    cause: str = ""
    waiting_since: Instant | None = None
    """Since when nobody has had the call: joining, or being sent back. None while somebody has it."""
    waited_seconds: float | None = None
    """From joining the queue to the (last) connection or the end; None while it waits. Talk before a sending back is in it."""
    first_human_seconds: float | None = None
    """From joining the queue to the first person."""
    right_desk_seconds: float | None = None
    """The waits for each person in turn, added up, talk between them left out: the wait for the last person so far."""
    talked_seconds: float | None = None
    """With the last person, from the connection to the end."""
    unseen_since: Instant | None = None
    traced_by: str | None = None
    """The switch's own record that told of it, or corrected it, after a time in which nothing was seen; None: all was seen."""
    came_unseen: bool = False
    """Nothing is known of it but by that record."""
    wrap_ups: list[WrapUpRecord] = field(default_factory=list)
    wrap_up_codes: list[CodeRecord] = field(default_factory=list)
    supervisions: list[SupervisionRecord] = field(default_factory=list)
    invitations: list[InvitationRecord] = field(default_factory=list)
    assists: list[AssistRecord] = field(default_factory=list)
    alarms: list[AlarmRecord] = field(default_factory=list)
    annotations: list[AnnotationRecord] = field(default_factory=list)
    """In order of writing, those made after the call's end too."""
    predictions: list[PredictionRecord] = field(default_factory=list)
    callback_offers: list[Instant] = field(default_factory=list)
    """When the caller was offered a call-back."""
    dialogues: list[DialogueRecord] = field(default_factory=list)
    callback: CallbackRecord | None = None
    """What was promised; None before, once revoked, and of an upgraded caller."""
    phase: CallState | None = None
    """Where a call-back is that is with nobody: promised, callback, dialling or checking."""
    task: TaskKind | None = None
    """The ring-back task that the call became."""

    @property
    def state(self) -> CallState:
        """Where the call is."""
        if self.ended_at is not None:
            return CallState.ENDED
        if self.in_fallback:
            return CallState.FALLBACK
        if self.leaving:
            return CallState.LEAVING
        if self.phase is CallState.CALLBACK and any(offer.live for offer in self.offers):
            return CallState.RESERVING
        if self.phase is not None:
            return self.phase
        if self.claimed:
            return CallState.CONNECTING if self.connected_at is None else CallState.TALKING
        return CallState.OFFERED if any(offer.live for offer in self.offers) else CallState.WAITING

    @property
    def upgraded(self) -> bool:
        """Whether it is a 101 whose caller pressed the emergency key."""
        return self.upgraded_at is not None

    @property
    def counts(self) -> bool:
        """Whether it is in the figures: neither a test nor a handler's own call on behalf of a caller who is."""
        return not self.test and self.consultation_of is None

    @property
    def counted_tier(self) -> Tier:
        """The tier whose figures it belongs to, that of its line: an upgraded 101 is no 999 there."""
        return Tier.ROUTINE if self.upgraded else Tier(self.tier)

    @property
    def counted_queue(self) -> str:
        """The queue whose figures it belongs to: an upgraded 101 belongs to where it waited as a 101, and to no 999's."""
        return self.queue if self.upgraded_at is None else self.queue_before_upgrade or self.queue

    @property
    def classified_by(self) -> ClassSource:
        """What gave the call the class that it has."""
        return self.classes[-1].source if self.classes else ClassSource.LINE

    @property
    def agents(self) -> list[str]:
        """Everybody who was offered the call or took it, in order, each once."""
        took = [*(connection.agent for connection in self.connections), self.agent]
        return list(dict.fromkeys([offer.agent for offer in self.offers] + [who for who in took if who]))

    @property
    def on_line_seconds(self) -> float | None:
        """Of the wait for the first person, or the whole wait: what the caller spent on the line. None while it waits."""
        waited = self.waited_seconds if self.first_human_seconds is None else self.first_human_seconds
        if waited is None:
            return None
        return max(0.0, waited - (self.callback.off_line_seconds if self.callback else 0.0))

    @property
    def held_seconds(self) -> float:
        """Time on hold that is over; a hold that lasts at the end of the call ends with it."""
        ends = [(hold.ended_at or self.ended_at, hold.started_at) for hold in self.holds]
        return sum(end.since(start) for end, start in ends if end is not None)

    @property
    def wrap_up_started_at(self) -> Instant | None:
        """When the last wrap-up began."""
        return self.wrap_ups[-1].started_at if self.wrap_ups else None

    @property
    def wrap_up_ended_at(self) -> Instant | None:
        """When the last wrap-up ended, None while it lasts."""
        return self.wrap_ups[-1].ended_at if self.wrap_ups else None

    @property
    def wrap_up_seconds(self) -> float | None:
        """How long the last wrap-up was, None unless it is over."""
        if self.wrap_up_started_at is None or self.wrap_up_ended_at is None:
            return None
        return self.wrap_up_ended_at.since(self.wrap_up_started_at)

    def talked_seconds_with(self, connection: ConnectionRecord) -> float:
        """How long this person had the call; 0 while it lasts."""
        if connection.ended_at is not None:
            return connection.ended_at.since(connection.at)
        return self.talked_seconds or 0.0
