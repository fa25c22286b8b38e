"""What is said to a process of software phones and what it says: one JSON object a line, pure data."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the phones of one process hear and speak. They are kept with every figure that comes of them."""

    codecs: tuple[str, ...] = ("PCMA", "PCMU")
    """The best first; others are not offered."""
    jitter_buffer_ms: int = 40
    """What arrives is held so long before it is heard, always: a buffer that adapts would change what is measured."""
    jitter_buffer_most_ms: int = 500
    """More than this is thrown away."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1",)
    """Addresses that may be spoken to and used as our own; a target's profile names others."""


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """First line: start with these settings."""

    settings: Settings


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A phone on a port of its own."""

    number: int
    phone: str
    host: str


class Register(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Register a phone at `registrar` (host:port), or with 0 seconds withdraw the registration."""

    number: int
    phone: str
    registrar: str
    user: str
    password: str
    seconds: int


class Dial(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Place a call. With a password, as `from_user` whom the switch knows: it answers the switch's challenge."""

    number: int
    phone: str
    uri: str
    from_user: str
    password: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Answer a call that came in, with this status: 180 rings, 200 takes it, 486 and others refuse."""

    number: int
    call: str
    status: int


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End a call: BYE, CANCEL or a refusal, as its state asks for."""

    number: int
    call: str


class Play(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Speak a WAV file into the call (8000 Hz, mono, 16 bit), from the instant at which audio flows.

    With `timed`, when each frame was taken is noted.
    """

    number: int
    call: str
    file: str
    loop: bool
    timed: bool


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Keep what is heard in a WAV file, from the instant at which audio flows.

    With `own_voice`, what is played goes into it too, in the same instant.
    """

    number: int
    call: str
    file: str
    own_voice: bool


class Quiet(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop playing and recording of a call; files are closed. Answered by `Anchors` of what was timed."""

    number: int
    call: str


class SendDigits(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send digits as telephone events (RFC 4733)."""

    number: int
    call: str
    digits: str


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for the statistics of a call's stream."""

    number: int
    call: str


class RestartClock(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start the audio clock anew, at another phase of its 20 ms."""

    number: int


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Hang up, unregister and end."""

    number: int


Command = (
    Open
    | Register
    | Dial
    | Answer
    | HangUp
    | Play
    | Record
    | Quiet
    | SendDigits
    | Measure
    | RestartClock
    | End
)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that the phone summed up as it went, in milliseconds."""

    n: int
    least: float
    mean: float
    most: float
    last: float


class Direction(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a stream: received as we saw it, sent as the peer's RTCP reports it (without any: `reports` 0)."""

    packets: int
    lost: int
    discarded: int
    repeated: int
    reordered: int
    jitter: Spread | None
    reports: int


class JitterBuffer(msgspec.Struct, frozen=True, kw_only=True):
    """What the jitter buffer did, and its settings as they were in use; its frames have 10 ms."""

    prefetch_frames: int
    least_prefetch_frames: int
    most_prefetch_frames: int
    delay_mean_ms: int
    delay_most_ms: int
    lost_frames: int
    discarded_frames: int
    empty_frames: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What is known of a call's stream."""

    codec: str
    local: str
    """host:port at which RTP arrives."""
    remote: str
    received: Direction
    sent: Direction
    round_trip: Spread | None
    """From RTCP; None when the peer sent no report, as on calls of less than five seconds."""
    jitter_buffer: JitterBuffer


class Anchors(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """When the frames of the timed file were taken: how many samples had been, and the monotonic clock when that was seen."""

    samples: list[int]
    monotonic_ns: list[int]


class Address(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Where a phone listens."""

    host: str
    port: int


class Name(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The call that was placed, and its SIP Call-ID."""

    call: str
    call_id: str


class Granted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Registered for so many seconds; or refused, with the status and its reason."""

    seconds: int
    status: int
    reason: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It is done."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It cannot be done; why."""

    reason: str


Value = Statistics | Anchors | Address | Name | Granted | Done | Failed


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the command of this number."""

    number: int
    value: Value


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The phones can be used."""

    version: str
    clock_hz: int


class Broken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The process cannot go on; why."""

    reason: str


class CallerComes(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call came in at a phone."""

    phone: str
    call: str
    call_id: str
    from_uri: str
    monotonic_ns: int


class CallChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call has another state: calling, ringing, connecting, confirmed, ended."""

    call: str
    state: str
    status: int
    reason: str
    monotonic_ns: int


class MediaChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Audio flows, or no longer (hold, end)."""

    call: str
    active: bool
    monotonic_ns: int


class DigitHeard(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A digit came as telephone event."""

    call: str
    digit: str
    monotonic_ns: int


Event = Reply | Ready | Broken | CallerComes | CallChanged | MediaChanged | DigitHeard
