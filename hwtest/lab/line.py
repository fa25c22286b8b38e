"""A bad line between the lab's switch and one phone: audio that is late, lost, uneven, one-way or without keys, by choice.

The phone registers at the line's address instead of the switch's. SIP passes unchanged but for the audio's port, so that RTP
passes here too; to the switch, which answers to where a request came from, the phone seems to sit at the line's address.
Loopback only. Everything is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from hwtest.lab.ports import HOST

Place = tuple[str, int]
_Take = Callable[[bytes, Place], None]
_PORT = re.compile(rb"^(m=audio )(\d+)", re.MULTILINE)
_LENGTH = re.compile(rb"^(Content-Length|l)\s*:\s*\d+", re.MULTILINE | re.IGNORECASE)
_CALL_ID = re.compile(rb"^(?:Call-ID|i)\s*:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_EVENTS_FROM = 96
_LEAST_RTP_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What is done to RTP of one direction."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    """On top, anything from 0 to this, packet by packet; none overtakes another by that alone."""
    loss_share: float = 0.0
    nothing_passes: bool = False
    no_keys: bool = False
    """Telephone events are taken out (dynamic payload types)."""
    silent_seconds: float = 0.0
    """So long after the first packet nothing passes: late media."""


NONE = Harm()


class BadLine:
    """The line, while the block lasts. `delays_seconds`: what each packet that passed was really held, towards the phone."""

    def __init__(
        self, switch_port: int, *, to_phone: Harm = NONE, from_phone: Harm = NONE, seed: int = 1
    ) -> None:
        self.delays_seconds: list[float] = []
        self.lost = 0
        self._switch: Place = (HOST, switch_port)
        self._harms = {True: to_phone, False: from_phone}
        self._dice = random.Random(seed)
        self._phone: Place | None = None
        self._audio: dict[bytes, _Audio] = {}
        self._sip: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        """Open its port."""
        self._sip = await _open(self._take_sip)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cut it."""
        for task in self._tasks:
            task.cancel()
        for transport in [self._sip, *(hop for audio in self._audio.values() for hop in audio.hops)]:
            if transport is not None:
                transport.close()

    @property
    def registrar(self) -> str:
        """host:port at which the phone registers."""
        assert self._sip is not None
        host, port = self._sip.get_extra_info("sockname")
        return f"{host}:{port}"

    def _take_sip(self, datagram: bytes, source: Place) -> None:
        # one after the other: a message with SDP opens ports first, and none may overtake it
        task = asyncio.get_running_loop().create_task(self._pass_sip(datagram, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_sip(self, datagram: bytes, source: Place) -> None:
        assert self._sip is not None
        async with self._opening:
            from_switch = source == self._switch
            if not from_switch:
                self._phone = source
            datagram = await self._through_here(datagram, from_switch=from_switch)
            target = self._phone if from_switch else self._switch
            if target is not None:
                self._sip.sendto(datagram, target)

    async def _through_here(self, message: bytes, *, from_switch: bool) -> bytes:
        """The message with our port for its audio."""
        head, blank, body = message.partition(b"\r\n\r\n")
        port, name = _PORT.search(body), _CALL_ID.search(head)
        if port is None or name is None or port[2] == b"0":
            return message
        if name[1] not in self._audio:
            self._audio[name[1]] = await self._open_audio()
        audio = self._audio[name[1]]
        place = (HOST, int(port[2]))
        if from_switch:
            audio.switch = place
        else:
            audio.phone = place
        ours = audio.hops[0 if from_switch else 1].get_extra_info("sockname")[1]
        body = _PORT.sub(rb"\g<1>" + str(ours).encode(), body)
        return _LENGTH.sub(rb"\g<1>: " + str(len(body)).encode(), head) + blank + body

    async def _open_audio(self) -> _Audio:
        audio = _Audio()
        facing_phone = await _open(lambda data, _: self._take_audio(audio, data, to_phone=False))
        facing_switch = await _open(lambda data, _: self._take_audio(audio, data, to_phone=True))
        audio.hops = (facing_phone, facing_switch)
        return audio

    def _take_audio(self, audio: _Audio, packet: bytes, *, to_phone: bool) -> None:
        harm, loop = self._harms[to_phone], asyncio.get_running_loop()
        now = loop.time()
        began = audio.began.setdefault(to_phone, now)
        is_key = len(packet) >= _LEAST_RTP_BYTES and packet[1] & 0x7F >= _EVENTS_FROM
        if (
            harm.nothing_passes
            or (harm.no_keys and is_key)
            or now - began < harm.silent_seconds
            or self._dice.random() < harm.loss_share
        ):
            self.lost += 1
            return
        due = now + harm.delay_seconds + self._dice.random() * harm.jitter_seconds
        due = audio.last[to_phone] = max(due, audio.last.get(to_phone, 0.0))
        if due <= now:
            self._send(audio, packet, now, to_phone=to_phone)
        else:
            loop.call_at(due, lambda: self._send(audio, packet, now, to_phone=to_phone))

    def _send(self, audio: _Audio, packet: bytes, came: float, *, to_phone: bool) -> None:
        target = audio.phone if to_phone else audio.switch
        transport = audio.hops[0 if to_phone else 1]
        if target is not None and not transport.is_closing():
            transport.sendto(packet, target)
            if to_phone:
                self.delays_seconds.append(asyncio.get_running_loop().time() - came)


@dataclass(slots=True)
class _Audio:
    """The audio of one call: a port that faces the phone, one that faces the switch, and where both really are."""

    hops: tuple[asyncio.DatagramTransport, ...] = ()
    phone: Place | None = None
    switch: Place | None = None
    began: dict[bool, float] = field(default_factory=dict)
    last: dict[bool, float] = field(default_factory=dict)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, take: _Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self._take(data, addr)


async def _open(take: _Take) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Port(take), local_addr=(HOST, 0), family=socket.AF_INET
    )
    return transport
