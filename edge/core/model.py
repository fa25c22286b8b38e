"""Nouns that inputs, facts and effects share: time, the policy of a site, and the states of calls, offers and agents.

Nothing here changes by itself: an `Instant` is given by whoever calls, a `Policy` is read from the configuration.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from edge.core.promise import Callbacks, Destinations, NoDestinations, Plan, Tasks

NANOSECONDS = 1_000_000_000
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: monotonic for deadlines and durations, UTC for the record."""

    monotonic_ns: int
    utc_us: int

    def plus(self, seconds: float) -> Instant:
        """The instant `seconds` later, on both clocks."""
        return Instant(
            self.monotonic_ns + round(seconds * NANOSECONDS), self.utc_us + round(seconds * MICROSECONDS)
        )

    def since(self, earlier: Instant) -> float:
        """Seconds from `earlier` to this instant, by the monotonic clock."""
        return (self.monotonic_ns - earlier.monotonic_ns) / NANOSECONDS


class ClockState(StrEnum):
    """What the kernel says of the clock at the time of a fact (adjtimex(2))."""

    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


class Tier(IntEnum):
    """Strict tiers of service: an emergency call is always before every routine call."""

    EMERGENCY = 0
    ROUTINE = 1


class Answer(StrEnum):
    """When a line answers its caller."""

    ON_ARRIVAL = "on_arrival"
    """The switch answers before queueing: the caller hears greeting and music (101)."""
    BY_AGENT = "by_agent"
    """The caller hears ringing until a human answers (999)."""


class Rung(IntEnum):
    """How far up the ladder a waiting 999 has come: each rung rings more phones, and those of the lower ones go on ringing."""

    NEXT_AGENT = 0
    """One agent at a time, each with a short deadline."""
    ALL_AGENTS = 1
    SUPERVISORS = 2
    BUDDY = 3
    """The number of the force that takes our 999 calls when we cannot (PECS code, "buddy" authority)."""


class ClassSource(StrEnum):
    """What gave a call its queue, class or language."""

    LINE = "line"
    MENU = "menu"
    LISTED = "listed"
    """The caller's number stands in the force's local list."""
    REPEAT = "repeat"
    """The caller gave up several times just before."""
    HANDLER = "handler"
    OVERFLOW = "overflow"


class CallState(StrEnum):
    """Where a call is. A call is in exactly one of these."""

    WAITING = "waiting"
    OFFERED = "offered"
    CONNECTING = "connecting"
    TALKING = "talking"
    FALLBACK = "fallback"
    LEAVING = "leaving"
    """A 101 caller hears why they cannot be served here, or is being sent to another number."""
    PROMISED = "promised"
    """A caller who was promised a call-back is still on the line, to hear it confirmed."""
    CALLBACK = "callback"
    """A call-back: nobody is on the line, and the call waits at its place to be rung."""
    RESERVING = "reserving"
    """An agent's phone rings for a call-back."""
    DIALLING = "dialling"
    """The person is being rung; an agent is on the line already, or kept for them."""
    CHECKING = "checking"
    """Caller first: somebody or something has answered and is asked to press a key."""
    ENDED = "ended"


class OfferState(StrEnum):
    """Where an offer is. `withdrawn` means we asked the leg to end and it has not ended yet."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


class TaskOfferState(StrEnum):
    """Where the offer of a ring-back task to an agent is."""

    CALLING = "calling"
    RINGING = "ringing"
    CHOOSING = "choosing"
    """The agent has answered and is asked for a key."""
    DIALLING = "dialling"
    """The agent pressed the key: the intent is written, then the person is rung, with the agent on the line."""
    TALKING = "talking"
    WITHDRAWN = "withdrawn"
    """It is over but for the agent's leg, which was asked to end or is about to."""
    ENDED = "ended"


class Activity(StrEnum):
    """What a signed-in agent is doing with calls; the engine's own, never written to the switch."""

    IDLE = "idle"
    OFFERED = "offered"
    TALKING = "talking"
    WRAP_UP = "wrap_up"
    RESERVED = "reserved"
    """Kept for a call-back whose person is rung first."""


class AgentState(StrEnum):
    """The agent state that a supervisor is shown; derived from sign-in, activity and not-ready reason."""

    SIGNED_OUT = "signed out"
    READY = "ready"
    OFFERED = "offered"
    TALKING = "talking"
    WRAP_UP = "wrap-up"
    NOT_READY = "not ready"


class PhoneState(StrEnum):
    """What the switch says of a phone. Only an idle phone of a ready agent is offered a call."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    RINGING = "ringing"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


class OfferOutcome(StrEnum):
    """How an offer ended."""

    ANSWERED = "answered"
    MISSED = "missed"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CROSSED = "crossed"
    """The phone was busy before it rang, a moment after it had left a call: it had not cleared its line, and the offer crossed
    the end of that call on the wire. Nobody has refused anything."""
    WITHDRAWN = "withdrawn"
    LOST = "lost"
    """The leg ended after its answer and before the pair was connected, or unseen by us."""


REFUSALS = frozenset({OfferOutcome.MISSED, OfferOutcome.REJECTED, OfferOutcome.UNREACHABLE})
"""Outcomes after which a call or a task is not put to the same agent while another may take it."""


class CallOutcome(StrEnum):
    """The one terminal state of a call (DOMAIN: nothing is ever lost)."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    REFUSED = "refused"
    """A 101 that was not taken: no channel to spare for it, closed, or full. The fact's cause says which."""
    OVERFLOWED = "overflowed"
    """A 101 that was sent to another number."""
    UNREACHED = "unreached"
    """A promised call-back whose person could not be reached: work for a human now."""
    CANCELLED = "cancelled"
    """A call-back that a named person cancelled, or closed because it was not needed any more."""
    MERGED = "merged"
    """The caller asked for a call-back while one for the same number waited: that one goes on for both."""
    ENDED_UNKNOWN = "ended_unknown"
    """Its end was not seen; the fact says between which instants it fell."""


class Stage(StrEnum):
    """Where in its journey an unanswered call ended."""

    ENTRY = "entry"
    """Before it was answered or queued: the switch had no channel to spare for it."""
    LEAVING = "leaving"
    ANNOUNCEMENT = "announcement"
    QUEUE = "queue"
    RINGING = "ringing"
    CONNECTING = "connecting"
    FALLBACK = "fallback"
    CALLBACK = "callback"
    """After a call-back was promised."""
    TALKING = "talking"


class Side(StrEnum):
    """Who hung up."""

    CALLER = "caller"
    AGENT = "agent"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Blindness(StrEnum):
    """Why the switch was not seen for a while."""

    FIRST_START = "first start"
    """There was no record before."""
    DAEMON_STOPPED = "daemon stopped"
    """On purpose."""
    DAEMON_DEAD = "daemon dead"
    DAEMON_HUNG = "daemon hung"
    """It stood still, whether or not it was ended for that."""
    LINK_LOST = "link lost"
    SWITCH_DEAD = "switch dead"


class Bound(StrEnum):
    """How it is known when a gap began."""

    SEEN = "seen"
    """The daemon was there and saw it begin."""
    LAST_FACT = "last fact"
    """It began at or after the last fact in the ledger."""
    HEARTBEAT = "heartbeat"
    """It began at or after the last sign of life that the daemon left beside the ledger."""


class Refusal(StrEnum):
    """Why a phone's leg ended without serving the call, in the switch adapter's judgement."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CLEARED = "cleared"
    """Ended normally: after our own withdrawal, or by a hang-up after the answer."""
    FAILED = "failed"


class PhoneKind(StrEnum):
    """How the switch reaches a phone."""

    REGISTERED = "registered"
    """A SIP phone that registers with the switch: its device state is seen."""
    TRUNK = "trunk"
    """A number behind a SIP trunk: the switch cannot see whether it is busy."""


BUDDY = "buddy"
TEST = "test"
NOT_PEOPLE = frozenset({BUDDY, TEST})
"""Names that stand in the place of an agent's number where the far end is no agent of ours: another force, a test phone."""
STANDARD_CLASS = "standard"
"""The class of a line that names none; without a head start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerKnowledge:
    """What is known of a caller's number; never of a withheld one. A number is not an identity: all of it is a hint.

    `calls_in_day`, `calls_in_month`, `abandons_in_month`: earlier calls, this one not counted. `recent_abandons`: within the
    policy's minutes. `listing`: the kind under which the force's list has the number ("vulnerable", "repeat", "vexatious", ...).
    """

    calls_in_day: int = 0
    calls_in_month: int = 0
    abandons_in_month: int = 0
    recent_abandons: int = 0
    listing: str | None = None
    listed_class: str | None = None
    assisted: bool = False
    language: str | None = None


class TransferKind(StrEnum):
    """How a caller was passed on."""

    BLIND = "blind"
    ATTENDED = "attended"


class Supervision(StrEnum):
    """How a supervisor takes part in a conversation."""

    LISTEN = "listen"
    WHISPER = "whisper"
    """The handler hears the supervisor, the caller does not."""
    BARGE = "barge"
    CONFERENCE = "conference"
    """As barge, and because the handler asked them to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """What a waiting 101 caller is told, every `every_seconds` since joining, with music between. Nothing delays an offer.

    `prompt`: said each time, None for none. `position`, `expected_wait`: said too, while they are known to be true.
    """

    every_seconds: float = 60.0
    prompt: str | None = None
    position: bool = False
    expected_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityClass:
    """A class of 101 calls. `head_start_seconds`: how much earlier than it did its caller counts as having joined.

    `announcements`: in place of those of the queue.
    """

    name: str
    head_start_seconds: float = 0.0
    announcements: Announcements | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """After `after_seconds` of waiting a call needs only `skills`; with a `prompt`, once the caller has been told so by it."""

    after_seconds: float
    skills: tuple[str, ...]
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """When a queue takes callers, as instants: at `changes[n][0]` (microseconds of UTC) it becomes open or closed.

    Worked out beforehand from local hours, bank holidays and clock changes, so that here it is only looked up.
    Before the first and after the last change it is open: a table that has run out turns nobody away.
    """

    name: str
    changes: tuple[tuple[int, bool], ...]

    def is_open(self, utc_us: int) -> bool:
        """Whether callers are taken at this time."""
        index = bisect_right(self.changes, (utc_us, True))
        return index in (0, len(self.changes)) or self.changes[index - 1][1]

    def closes_utc_us(self, utc_us: int) -> int | None:
        """When it closes next, from this time on; None where the table knows of no such time."""
        index = bisect_right(self.changes, (utc_us, True))
        return next((at for at, is_open in self.changes[index:] if not is_open), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """An ordered waiting place with a service target.

    `hours`, `limit` (waiting callers) and `maximum_wait_seconds` are for 101 alone: whom they turn away goes to
    `overflow_queue`, else to `overflow_phone`, else hears `closed_prompt`, `full_prompt` or `waited_prompt`,
    which say what to do instead.
    No 999 and no upgraded 101 is ever turned away, whatever queue it waits in. Callers in it when it closes are served.
    """

    name: str
    skills: tuple[str, ...]
    relaxations: tuple[Relaxation, ...] = ()
    offer_seconds: float = 15.0
    wrap_up_seconds: float = 30.0
    target_seconds: float = 30.0
    target_share: float = 0.8
    announcements: Announcements | None = None
    hours: OpeningHours | None = None
    limit: int | None = None
    maximum_wait_seconds: float | None = None
    overflow_queue: str | None = None
    overflow_phone: str | None = None
    closed_prompt: str = "closed"
    full_prompt: str = "full"
    waited_prompt: str = "waited-too-long"
    callback: Plan | None = None
    """How call-backs are offered here; None: they are not."""
    callback_hours: OpeningHours | None = None
    """When they are offered; None: whenever the queue is open. Those promised are kept at any hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What pressing a key of a menu changes; None leaves it as it is. `greeting` is said in answer."""

    queue: str | None = None
    priority_class: str | None = None
    language: str | None = None
    greeting: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """One level of choices, said by `prompt` after the greeting. The caller already waits in the queue while it is said, and
    one who presses nothing goes on waiting."""

    prompt: str
    choices: Mapping[str, Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a call came in: a dialled number and what the force has decided for it.

    `assisted`: its callers come through a relay (text, BSL). `test_phone`: a line for synthetic 999 calls, which ring that
    phone and no other, pre-empt nobody, and stand in no figure.
    """

    name: str
    number: str
    queue: str
    tier: Tier
    priority_class: str
    answer: Answer
    greeting: str | None = None
    music: str = "default"
    dead_man_seconds: float = 15.0
    language: str = "en"
    assisted: bool = False
    menu: Menu | None = None
    test_phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A device that can ring. `number`: what to dial behind `trunk`, for a phone of kind trunk."""

    name: str
    kind: PhoneKind = PhoneKind.REGISTERED
    trunk: str | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A call handler: a person. `skills`: level per skill, 1 is best. `phone`: the phone this agent usually sits at.

    `supervisor`: rung by an escalated 999 wherever signed in, else at the usual phone; may listen, whisper and barge.
    """

    number: str
    name: str
    skills: Mapping[str, int]
    phone: str | None = None
    supervisor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """What is decided for 999 as a whole. Seconds count from when the call joined the emergency tier; None: never.

    `queue`: where an upgraded 101 waits. `key`: what a 101 caller presses to be upgraded.
    `keep_free`: how many free agents with the skills of `queue` no 101 is offered to.
    `break_wrap_up`: whether a 999 that nobody is free for may end a wrap-up (never that of a 999).
    `buddy_phone`: a phone of kind trunk.
    """

    queue: str | None = None
    key: str | None = "9"
    keep_free: int = 0
    break_wrap_up: bool = False
    all_agents_after_seconds: float | None = 8.0
    supervisors_after_seconds: float | None = 15.0
    buddy_after_seconds: float | None = 30.0
    buddy_phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Who gave up `abandons` times within `minutes` is put into `priority_class` when calling again."""

    abandons: int
    minutes: float
    priority_class: str


class CheckVerdict(StrEnum):
    """What a check of the equipment came to. What was not measured is no pass."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"
    NOT_MEASURED = "not_measured"

    @property
    def words(self) -> str:
        """For a person."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorIncident:
    """What changes for 101 while a major incident is declared. `greeting`: said in place of the line's own, None for no change.

    `closed_queues`: their new callers hear `closed_prompt` and are let go (as if closed).
    """

    greeting: str | None = None
    closed_queues: tuple[str, ...] = ()
    closed_prompt: str = "closed-incident"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that the engine needs to know of a site. Built and validated by `edge.config`."""

    lines: Mapping[str, Line]
    queues: Mapping[str, Queue]
    classes: Mapping[str, PriorityClass]
    agents: Mapping[str, Agent]
    phones: Mapping[str, Phone]
    emergency: Emergency = Emergency()
    repeat: Repeat | None = None
    incident: MajorIncident = MajorIncident()
    largest_boost_seconds: float = 600.0
    """No number list and no repetition gives a caller a larger head start than this."""
    assisted_offer_seconds: float = 30.0
    """How long an agent's phone rings at least for a caller who comes through a relay."""
    missed_offers_maximum: int | None = None
    """After so many missed offers in a row an agent is set not ready; None: never."""
    missed_reason: str = "missed calls"
    callbacks: Callbacks = field(default_factory=Callbacks)
    destinations: Destinations = field(default_factory=NoDestinations, compare=False)
    tasks: Tasks = field(default_factory=Tasks)
    unreachable_seconds: float = 3.0
    """A phone that does not ring within this time is unreachable (ASTERISK.md, design rule 11)."""
    withdrawal_seconds: float = 5.0
    """A withdrawn leg that has not ended by then is taken for lost, so that its agent is not stuck."""
    announcement_seconds: float = 120.0
    """An announcement of whose end nobody has told by then is over."""
    leaving_seconds: float = 60.0
    """A turned-away caller who is still there by then is let go, whatever became of the announcement."""
    connect_seconds: float = 2.0
    """An answered pair that is not connected by then goes back: the caller to their place."""
    refusal_memory_seconds: float = 30.0
    """How long a call is kept from an agent who rejected or missed it while another may take it."""
    refusal_rest_seconds: float = 2.0
    """How long an agent who has just rejected or missed a call is offered nothing at all."""
    crossed_rest_seconds: float = 0.1
    """How long a phone is left alone that was still in the call before, as it takes a moment to clear its line; twice as long
    each further time."""
    unreachable_rest_seconds: float = 10.0
    """How long an unreachable phone is left alone, unless its state is seen to change."""
    digest: str = field(default="", compare=False)
    """SHA-256 of the configuration it came from, for the record."""
