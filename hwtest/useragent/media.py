"""RTP of one call leg (RFC 3550, RFC 3551), telephone events (RFC 4733) and the clock that paces all legs."""

import asyncio
import contextlib
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal
from weakref import WeakKeyDictionary

from hwtest.useragent import g711
from hwtest.useragent.sdp import PCMA, PCMU, Description
from hwtest.useragent.transport import SocketAddress, Stamp, open_socket, receive

Mode = Literal["sink", "silence", "tone", "echo"]

FRAME_SECONDS = 0.02
KEPT_FRAMES = 50  # the last second of what was heard
DIGITS = "0123456789*#ABCD"  # RFC 4733 §3.2: event codes 0 to 15
_DIGIT_FRAMES, _GAP_FRAMES, _END_COPIES = 5, 5, 3  # 100 ms on, 100 ms off, the end sent three times
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_VERSION, _PADDING, _EXTENSION = 0x80, 0x20, 0x10
_END = 0x80
_EVENT_LEVEL = 10  # dBm0 below zero
_LEAST_HEARD_DBM0 = -45.0
_PACKETS_PER_CHANGE = 5


@dataclass(frozen=True, slots=True)
class Media:
    """What a leg does with audio.

    `sink`: owns a port, neither sends nor reads (the kernel drops what arrives), for hundreds of waiting
    callers. The others send a frame each 20 ms and hear: `silence`, `tone`, or `echo` of what they hear.
    """

    mode: Mode = "sink"
    frequency_hz: int = 440
    level_dbm0: float = -10.0


class Pacer:
    """Gives every leg of one event loop its turn each 20 ms; idle when there are none."""

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, "Pacer"]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turns: set[Callable[[], None]] = set()
        self._next: asyncio.TimerHandle | None = None

    @classmethod
    def shared(cls) -> "Pacer":
        """The pacer of the running loop."""
        loop = asyncio.get_running_loop()
        return cls._of_loop.setdefault(loop, cls(loop))

    def add(self, turn: Callable[[], None]) -> None:
        """Call `turn` each 20 ms."""
        self._turns.add(turn)
        if self._next is None:
            now = self._loop.time()
            self._next = self._loop.call_at(now, self._tick, now)

    def remove(self, turn: Callable[[], None]) -> None:
        """Call `turn` no more."""
        self._turns.discard(turn)

    def _tick(self, due: float) -> None:
        try:
            for turn in list(self._turns):
                turn()
        finally:  # a turn that fails costs the other legs one frame, and not all that come
            self._follow(due)

    def _follow(self, due: float) -> None:
        if not self._turns:
            self._next = None
            return
        # Deadlines follow each other exactly; after a stall the frames in between are lost, not bunched.
        following = max(due + FRAME_SECONDS, self._loop.time())
        self._next = self._loop.call_at(following, self._tick, following)


class Leg:
    """The RTP socket of one call. `on_change` is called for the first packet, each fifth after it, and digits."""

    def __init__(self, host: str, media: Media, on_change: Callable[[], None] = lambda: None) -> None:
        self.media = media
        self.packets = 0
        self.sent = 0
        self.first_arrival: Stamp | None = None
        self.last_arrival: Stamp | None = None
        self.digits = ""
        self.listener: Callable[[bytes, Stamp], None] | None = None
        """Told of every packet of audio: its codes, and when the kernel had it."""
        self._on_change = on_change
        self._socket = _open_even_port(host)
        self.address: SocketAddress = self._socket.getsockname()
        self._remote: Description | None = None
        self._sending = False
        self._heard: deque[bytes] = deque(maxlen=KEPT_FRAMES)
        self._heard_codec: int | None = None
        self._source = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._timestamp = secrets.randbits(32)
        self._position = 0
        self._waiting_digits: deque[str] = deque()
        self._digit_packets: Iterator[tuple[int, bool, bytes] | None] = iter(())
        self._last_event_timestamp: int | None = None
        if media.mode == "sink":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel's minimum
        else:
            Pacer.shared().add(self._turn)

    @property
    def law(self) -> g711.Law:
        """The companding law of what is heard: where an answer has both, the far end may send either (RFC 3264 §6.1)."""
        return _law(self._codec if self._heard_codec is None else self._heard_codec)

    @property
    def level_dbm0(self) -> float:
        """Mean level of the last second heard; minus infinity for silence or nothing."""
        return g711.level_dbm0(self.law, b"".join(self._heard))

    def tone_level_dbm0(self, frequency_hz: float) -> float:
        """Level of a tone of this frequency in the last second heard, whatever else was in it."""
        return g711.tone_level_dbm0(self.law, b"".join(self._heard), frequency_hz)

    def hears(self, frequency_hz: float) -> bool:
        """Whether most of what was heard in the last second is a tone of this frequency."""
        codes = b"".join(self._heard)
        tone = g711.tone_level_dbm0(self.law, codes, frequency_hz)
        return tone > _LEAST_HEARD_DBM0 and tone > g711.level_dbm0(self.law, codes) - 3

    def forget_heard(self) -> None:
        """Start the last second anew, for instance after a bridge changed what is heard."""
        self._heard.clear()

    def connect(self, remote: Description) -> None:
        """Send to the peer's description from now on, unless it holds us."""
        if self._remote is None or remote.codecs[:1] != self._remote.codecs[:1]:
            self._heard.clear()
        self._remote = remote
        self._sending = not remote.on_hold

    def send_digits(self, digits: str) -> None:
        """Send `digits` as telephone events, after those that wait already; needs a mode other than sink."""
        if self.media.mode == "sink" or not set(digits) <= set(DIGITS):
            raise ValueError("digits need a leg that sends, and are of " + DIGITS)
        self._waiting_digits.extend(digits)

    def close(self) -> None:
        """Stop sending and release the port."""
        Pacer.shared().remove(self._turn)
        self._socket.close()

    @property
    def _codec(self) -> int:
        return self._remote.codecs[0] if self._remote and self._remote.codecs else PCMU

    def _turn(self) -> None:
        self._read()
        if self._sending and self._socket.fileno() >= 0:
            self._send_frame()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._socket.fileno() >= 0:
                datagram, _, stamp = receive(self._socket)
                if len(datagram) > _HEADER.size and datagram[0] & 0xC0 == _VERSION:
                    self._take(datagram, stamp)

    def _take(self, packet: bytes, stamp: Stamp) -> None:
        payload_type, payload = packet[1] & 0x7F, payload_of(packet)
        if 72 <= payload_type <= 76 or payload is None:  # RTCP of a neighbour's port (RFC 5761 §4), or no RTP
            return
        self.packets += 1
        self.last_arrival = stamp
        self.first_arrival = self.first_arrival or stamp
        if self.packets % _PACKETS_PER_CHANGE == 1:
            self._on_change()
        if self._remote is not None and payload_type == self._remote.event_payload:
            self._take_event(_HEADER.unpack_from(packet)[3], payload)
        elif payload_type in {PCMU, PCMA}:
            if payload_type != self._heard_codec:
                self._heard_codec = payload_type
                self._heard.clear()
            self._heard.append(payload)
            if self.listener is not None:
                self.listener(payload, stamp)
            if self.media.mode == "echo" and self._sending:
                self._send(payload_type, payload)

    def _take_event(self, timestamp: int, payload: bytes) -> None:
        if len(payload) < _EVENT.size or timestamp == self._last_event_timestamp:
            return
        code, flags, _ = _EVENT.unpack_from(payload)
        if flags & _END and code < len(DIGITS):  # the end comes three times, with one timestamp
            self._last_event_timestamp = timestamp
            self.digits += DIGITS[code]
            self._on_change()

    def _send_frame(self) -> None:
        self._timestamp = (self._timestamp + g711.FRAME_SAMPLES) & 0xFFFFFFFF
        if self._send_digit():
            return
        law = _law(self._codec)
        if self.media.mode == "tone":
            second = g711.tone(law, self.media.frequency_hz, self.media.level_dbm0)
            self._send(self._codec, second[self._position : self._position + g711.FRAME_SAMPLES])
            self._position = (self._position + g711.FRAME_SAMPLES) % g711.SAMPLE_RATE_HZ
        elif self.media.mode == "silence":
            self._send(self._codec, bytes([law.silence]) * g711.FRAME_SAMPLES)

    def _send_digit(self) -> bool:
        """Send the next packet of a digit (or of the gap after it); False when there is none to send."""
        packet = next(self._digit_packets, ...)
        if packet is ... and self._waiting_digits:
            self._digit_packets = _packets_of_digit(self._waiting_digits.popleft(), self._timestamp)
            packet = next(self._digit_packets)
        event_payload = self._remote.event_payload if self._remote else None
        if packet is ... or event_payload is None:
            return False
        if packet is not None:
            self._send(event_payload, packet[2], timestamp=packet[0], marker=packet[1])
        return packet is not None

    def _send(
        self, payload_type: int, payload: bytes, *, timestamp: int | None = None, marker: bool = False
    ) -> None:
        assert self._remote is not None
        self._sequence = (self._sequence + 1) & 0xFFFF
        timestamp = self._timestamp if timestamp is None else timestamp
        header = _HEADER.pack(_VERSION, payload_type | marker << 7, self._sequence, timestamp, self._source)
        with contextlib.suppress(OSError):  # RTP may be lost; a peer that has gone is seen by signalling
            self._socket.sendto(header + payload, (self._remote.host, self._remote.port))
            self.sent += 1


def _law(payload_type: int) -> g711.Law:
    return g711.A_LAW if payload_type == PCMA else g711.MU_LAW


def payload_of(packet: bytes) -> bytes | None:
    """What an RTP packet carries, without header extension and padding (RFC 3550 §5.1, §5.3.1); None where it is cut."""
    start, end = _HEADER.size + 4 * (packet[0] & 0x0F), len(packet)
    if packet[0] & _EXTENSION:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if packet[0] & _PADDING:
        end -= packet[-1]
    return packet[start:end] if start <= end else None


def _packets_of_digit(digit: str, timestamp: int) -> Iterator[tuple[int, bool, bytes] | None]:
    """Timestamp, marker and payload of each 20 ms of one digit; None while the gap after it lasts."""
    code = DIGITS.index(digit)
    for frame in range(1, _DIGIT_FRAMES):
        yield timestamp, frame == 1, _EVENT.pack(code, _EVENT_LEVEL, frame * g711.FRAME_SAMPLES)
    for _ in range(_END_COPIES):
        yield timestamp, False, _EVENT.pack(code, _END | _EVENT_LEVEL, _DIGIT_FRAMES * g711.FRAME_SAMPLES)
    for _ in range(_GAP_FRAMES):
        yield None


def _open_even_port(host: str) -> socket.socket:
    """RTP has an even port, and the odd one above is left to its RTCP (RFC 3550 §11)."""
    odd = list[socket.socket]()
    try:
        while True:
            candidate = open_socket(host, 0)
            if candidate.getsockname()[1] % 2 == 0:
                return candidate
            odd.append(candidate)  # kept until the end, so that it is not offered again
    finally:
        for unwanted in odd:
            unwanted.close()
