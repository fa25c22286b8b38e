"""A bad path between phones and switch, without root: a relay on loopback that carries SIP and RTP and does them harm.

Phones that are told its port instead of the switch's own speak with the switch through it. It puts itself into the session
descriptions, so that their audio goes through it too. It harms the legs that phones begin, callers' alone that is, unless it is
told to harm those that the switch begins, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from hwtest.lab.packages import LabError

HOST = "127.0.0.1"
_LARGEST_BYTES = 65535
_RECEIVE_BUFFER_BYTES = 1 << 20
_MEDIA = re.compile(rb"(?m)^(m=audio )(\d+)")
_EVENT = re.compile(rb"(?m)^a=rtpmap:(\d+) telephone-event/8000", re.IGNORECASE)
_CALL_ID = re.compile(rb"(?mi)^(?:call-id|i)\s*:\s*(\S+)")
_LENGTH = re.compile(rb"(?mi)^(content-length|l)(\s*:\s*)\d+")
_TRIES = 50
T = TypeVar("T")


class Way(Enum):
    """A direction, seen from the phone."""

    TO_PHONE = "to the phone"
    TO_SWITCH = "to the switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What is done to audio, and to signalling. Shares are of 1."""

    ways: frozenset[Way] = frozenset(Way)
    """Whose audio is harmed at all."""
    loss: float = 0.0
    delay_seconds: float = 0.0
    """Each packet comes later by this."""
    jitter_seconds: float = 0.0
    """And by anything up to twice this, whatever became of the one before."""
    mute: frozenset[Way] = frozenset()
    late_seconds: float = 0.0
    """So long after the first packet of a stream nothing passes."""
    events_lost: bool = False
    """Telephone events (RFC 4733) are dropped."""
    sip_loss: float = 0.0
    sip_delay_seconds: float = 0.0


Take = Callable[[bytes, tuple[str, int]], None]


@dataclass(slots=True)
class _Stream:
    """The audio of one leg: a pair of ports (RTP, RTCP) that faces the switch, and one that faces the phone."""

    harmed: bool
    to_switch: tuple[socket.socket, socket.socket]
    """What the phone's audio is sent from, and the switch sends to."""
    to_phone: tuple[socket.socket, socket.socket]
    phone_port: int = 0
    switch_port: int = 0
    event_payload: int | None = None
    first_at: float | None = None


class Relay:
    """The path, in a thread of its own, until `close`. `called`: harm the legs of phones that are called, too."""

    def __init__(self, switch_port: int, harm: Harm, seed: int = 1, *, called: bool = False) -> None:
        self.held_seconds = list[float]()
        """Of each packet of audio that passed towards a phone and was harmed: how long it was really held."""
        self._called = called
        self._switch = (HOST, switch_port)
        self._harm = harm
        self._dice = random.Random(seed)
        self._phones = dict[tuple[str, int], socket.socket]()
        self._streams = dict[tuple[bytes, tuple[str, int]], _Stream]()
        self._open = list[socket.socket]()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._face = self._call(lambda: self._bind(self._from_phone))
        self.port: int = self._face.getsockname()[1]

    def close(self) -> None:
        """End it; calls that go through it are on their own."""
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, act: Callable[[], T]) -> T:
        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def _close(self) -> None:
        for each in self._open:
            self._loop.remove_reader(each.fileno())
            each.close()

    # Sockets

    def _bind(self, take: Take, port: int = 0) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        try:
            made.bind((HOST, port))
        except OSError:
            made.close()
            raise
        self._listen(made, take)
        return made

    def _listen(self, made: socket.socket, take: Take) -> None:
        def read() -> None:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                while True:
                    data, source = made.recvfrom(_LARGEST_BYTES)
                    take(data, source)

        self._open.append(made)
        self._loop.add_reader(made.fileno(), read)

    def _pair(self, rtp: Take, rtcp: Take) -> tuple[socket.socket, socket.socket]:
        """An even port for RTP and the next for RTCP (RFC 3550 §11)."""
        for _ in range(_TRIES):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as seeker:
                seeker.bind((HOST, 0))
                even = seeker.getsockname()[1] & ~1
            with contextlib.suppress(OSError):
                first = self._bind(rtp, even)
                try:
                    return first, self._bind(rtcp, even + 1)
                except OSError:
                    self._loop.remove_reader(first.fileno())
                    self._open.remove(first)
                    first.close()
        raise LabError("no two ports beside each other are free for the relay's audio")

    @staticmethod
    def _send(by: socket.socket, data: bytes, target: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            by.sendto(data, target)

    # Signalling

    def _from_phone(self, data: bytes, source: tuple[str, int]) -> None:
        upstream = self._phones.get(source)
        if upstream is None:
            upstream = self._phones[source] = self._bind(lambda data, _: self._from_switch(data, source))
        text = _replaced(data, self.port, self._switch[1])
        self._carry(upstream, self._described(text, source, Way.TO_SWITCH), self._switch)

    def _from_switch(self, data: bytes, phone: tuple[str, int]) -> None:
        text = _replaced(data, self._switch[1], self.port)
        self._carry(self._face, self._described(text, phone, Way.TO_PHONE), phone)

    def _carry(self, by: socket.socket, data: bytes, target: tuple[str, int]) -> None:
        if self._dice.random() < self._harm.sip_loss:
            return
        if self._harm.sip_delay_seconds:
            self._loop.call_later(self._harm.sip_delay_seconds, self._send, by, data, target)
        else:
            self._send(by, data, target)

    def _described(self, data: bytes, phone: tuple[str, int], way: Way) -> bytes:
        """The message with our own ports in its session description."""
        head, blank, body = data.partition(b"\r\n\r\n")
        media, call_id = _MEDIA.search(body), _CALL_ID.search(head)
        if media is None or call_id is None or not int(media[2]):
            return data
        key = call_id[1], phone
        stream = self._streams.get(key)
        if (
            stream is None
        ):  # whoever sends the first description of a call: a caller's phone, or the switch to an agent
            stream = self._streams[key] = self._open_stream(harmed=self._called or way is Way.TO_SWITCH)
        if event := _EVENT.search(body):
            stream.event_payload = int(event[1])
        if way is Way.TO_SWITCH:
            stream.phone_port, ours = int(media[2]), stream.to_switch[0]
        else:
            stream.switch_port, ours = int(media[2]), stream.to_phone[0]
        port = str(ours.getsockname()[1]).encode()
        body = _MEDIA.sub(rb"\g<1>" + port, body, count=1)
        head = _LENGTH.sub(rb"\g<1>\g<2>" + str(len(body)).encode(), head)
        return head + blank + body

    # Audio

    def _open_stream(self, *, harmed: bool) -> _Stream:
        stream: _Stream

        def audio_of_switch(data: bytes, _: tuple[str, int]) -> None:
            self._audio(stream, Way.TO_PHONE, data)

        def audio_of_phone(data: bytes, _: tuple[str, int]) -> None:
            self._audio(stream, Way.TO_SWITCH, data)

        def report_of_switch(data: bytes, _: tuple[str, int]) -> None:
            self._send(stream.to_phone[1], data, (HOST, stream.phone_port + 1))

        def report_of_phone(data: bytes, _: tuple[str, int]) -> None:
            self._send(stream.to_switch[1], data, (HOST, stream.switch_port + 1))

        stream = _Stream(
            harmed, self._pair(audio_of_switch, report_of_switch), self._pair(audio_of_phone, report_of_phone)
        )
        return stream

    def _audio(self, stream: _Stream, way: Way, data: bytes) -> None:
        by, port = (
            (stream.to_phone[0], stream.phone_port)
            if way is Way.TO_PHONE
            else (stream.to_switch[0], stream.switch_port)
        )
        if not port:
            return
        if not stream.harmed or way not in self._harm.ways:
            self._send(by, data, (HOST, port))
        elif self._passes(stream, way, data):
            self._hold(by, data, (HOST, port), way)

    def _hold(self, by: socket.socket, data: bytes, target: tuple[str, int], way: Way) -> None:
        """Send it after its delay."""
        came = self._loop.time()
        delay = self._harm.delay_seconds + self._dice.uniform(0, 2 * self._harm.jitter_seconds)

        def send() -> None:
            self._send(by, data, target)
            if way is Way.TO_PHONE:
                self.held_seconds.append(self._loop.time() - came)

        if delay:
            self._loop.call_later(delay, send)
        else:
            send()

    def _passes(self, stream: _Stream, way: Way, data: bytes) -> bool:
        now = self._loop.time()
        if stream.first_at is None:
            stream.first_at = now
        if way in self._harm.mute or now < stream.first_at + self._harm.late_seconds:
            return False
        if self._harm.events_lost and len(data) > 1 and data[1] & 0x7F == stream.event_payload:
            return False
        return self._dice.random() >= self._harm.loss


def _replaced(data: bytes, port: int, by: int) -> bytes:
    """The message with one port of ours instead of the other, but for what a password was hashed over (RFC 7616)."""
    head, blank, body = data.partition(b"\r\n\r\n")
    old, new = f"{HOST}:{port}".encode(), f"{HOST}:{by}".encode()
    lines = [
        line
        if line.lower().startswith((b"authorization:", b"proxy-authorization:"))
        else line.replace(old, new)
        for line in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines) + blank + body
