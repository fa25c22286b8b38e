"""Effects: what the engine asks for, imperative. Performed only after the facts that caused them are committed.

They are idempotent by their ids: an adapter may be asked twice and must act once.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.model import Tier
from edge.core.promise import TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOffer:
    """Ring this phone for this call, for at most `ring_seconds`. The rest is what the phone shows and a recorder needs."""

    offer_id: str
    call_id: str
    phone: str
    ring_seconds: float
    caller_number: str | None
    line: str
    tier: Tier
    priority_class: str
    waited_seconds: float
    upgraded: bool = False
    """A 101 whose caller pressed the emergency key."""
    callback: bool = False
    """Nobody is on the line yet: the person is rung once this agent has answered."""
    notes: tuple[str, ...] = ()
    """What else the handler should see before answering: "assisted", "vulnerable", "4 calls in 24 h", "cy", ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawOffer:
    """End the agent's leg of this offer, unless it was answered in a way the engine has not heard of yet.

    `answered_elsewhere`: because another phone has the call (RFC 3326: Reason SIP;cause=200), not because it was missed.
    """

    offer_id: str
    answered_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpOffer:
    """End the agent's leg of this offer, whatever it is doing. `answered_elsewhere`: as in `WithdrawOffer`."""

    offer_id: str
    answered_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectPair:
    """Stop what the caller hears and join caller and agent in a native bridge that does not need us."""

    call_id: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCharge:
    """Begin (or go on) to serve a waiting caller: renew the dead-man, play `greeting` once if given, then music."""

    call_id: str
    line: str
    greeting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Play `sounds` to a waiting caller, one after the other, then music again; the end comes back as `AnnouncementFinished`.

    `prompt` names the whole. A sound is the id of a prompt, or "number:7" for a number spoken in the caller's language.
    """

    call_id: str
    prompt: str
    sounds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnnouncement:
    """Stop what plays to a waiting caller; music again."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePlace:
    """Write the caller's place onto their leg, so that the switch's own queue would serve them there and in their language.

    `place_utc_us`: what they count as having joined at, head start taken off.
    """

    call_id: str
    queue: str
    tier: Tier
    place_utc_us: int
    language: str
    upgraded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpCaller:
    """Let a 101 caller go who has heard why. An adapter refuses it for a 999 or an upgraded call, whoever asks."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Divert:
    """Send a 101 caller to another number (a phone of kind trunk). If that fails they come back by `PairReturned`."""

    call_id: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNotReady:
    """Set an agent not ready, as if they had done it themselves; it comes back as `AgentSeen`."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectNumber:
    """From now on the caller's keys are the digits of a number, given as one `NumberKeyed`. The emergency key as the first of
    them, or as the first after *, is that key still. `collect` False: keys are keys again."""

    call_id: str
    collect: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RingForTask:
    """Ring this phone for a ring-back task, for at most `ring_seconds`. The rest is what it shows; nobody is on the line."""

    offer_id: str
    task_id: str
    phone: str
    ring_seconds: float
    kind: TaskKind
    emergency: bool
    number: str | None
    waited_seconds: float
    """Since the person joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgent:
    """Play `sounds` to the agent who has answered for a task; keys come as `AgentKeyed`. The leg frees itself after `seconds`."""

    offer_id: str
    sounds: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DialForTask:
    """Have the switch ring the person of a task for the agent of this offer, who hears it: once, and their talk is the switch's
    own from the first. A leg that is not in our hands any more is left alone. `number`: as the trunk wants it."""

    offer_id: str
    number: str
    trunk: str
    show_number: str
    ring_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUpDial:
    """End the agent's leg while the person of the task rings, unless somebody was seen to answer."""

    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TellWhenDurable:
    """Give the engine `Durable` with this token once the fact that caused this is on disk: for the runtime, no switch.
    `call_id`: a call, or the offer of a task."""

    call_id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialPerson:
    """Ring the person of a call-back, once: an attempt that the switch knows already is not made again.

    `number`: as the trunk wants it. `show_number`: ours, that they see and can ring back. `offer_id`: the agent's leg, which
    hears ringing meanwhile; None where the person comes first. The rest makes the leg a caller's in case we die.
    """

    call_id: str
    attempt: int
    offer_id: str | None
    number: str
    trunk: str
    show_number: str
    ring_seconds: float
    line: str
    queue: str
    language: str
    joined_utc_us: int
    place_utc_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAttempt:
    """End the person's leg of this attempt, unless it was answered in a way the engine has not heard of yet."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToFallback:
    """Give the caller to the switch's own queue, at their place."""

    call_id: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Look where this call's legs are and post what is found: `PairJoined`, `PairReturned` or `CallerGone`."""

    call_id: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTrace:
    """Read what the switch itself has recorded between these times of its clock (microseconds of UTC), and post `TraceRead`.

    Nothing waits for it. Whatever becomes of the reading, an answer is posted.
    """

    gap: int
    from_utc_us: int
    until_utc_us: int


Effect = (
    MakeOffer
    | WithdrawOffer
    | HangUpOffer
    | ConnectPair
    | TakeCharge
    | Announce
    | StopAnnouncement
    | NotePlace
    | HangUpCaller
    | Divert
    | SetNotReady
    | CollectNumber
    | TellWhenDurable
    | DialPerson
    | EndAttempt
    | RingForTask
    | AskAgent
    | DialForTask
    | GiveUpDial
    | SendToFallback
    | Inspect
    | ReadTrace
)
