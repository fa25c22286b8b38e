"""Session descriptions (RFC 8866) with one G.711 audio stream and telephone events, pure."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hwtest.useragent.wire import SipError, decode, encode, ipv4

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
PCMU, PCMA = 0, 8  # static payload types (RFC 3551 §6)
CODEC_NAMES = {PCMU: "PCMU", PCMA: "PCMA"}
MIRRORED: dict[Direction, Direction] = {  # RFC 3264 §6.1: what the answer says to the offer's direction
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
CONTENT_TYPE = "application/sdp"

_versions = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Description:
    """Where and how one side receives audio: address, G.711 payload types in order of preference."""

    host: str
    port: int
    codecs: tuple[int, ...] = (PCMU, PCMA)
    event_payload: int | None = 101
    direction: Direction = "sendrecv"

    @property
    def on_hold(self) -> bool:
        """Whether this side will not listen to us (RFC 3264 §8.4; 0.0.0.0 is the form of RFC 2543)."""
        return self.direction in {"sendonly", "inactive"} or self.host == "0.0.0.0" or self.port == 0

    def format(self) -> bytes:
        """The body for Content-Type application/sdp."""
        payloads = [*self.codecs, *([self.event_payload] if self.event_payload is not None else [])]
        lines = [
            "v=0",
            f"o=- 1 {next(_versions)} IN IP4 {self.host}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
        ]
        lines += [f"m=audio {self.port} RTP/AVP {' '.join(map(str, payloads))}"]
        lines += [f"a=rtpmap:{codec} {CODEC_NAMES[codec]}/8000" for codec in self.codecs]
        if self.event_payload is not None:
            lines += [
                f"a=rtpmap:{self.event_payload} telephone-event/8000",
                f"a=fmtp:{self.event_payload} 0-16",
            ]
        lines += ["a=ptime:20", f"a={self.direction}", ""]
        return encode("\r\n".join(lines))


def parse(body: bytes) -> Description:
    """First audio stream of a session description; SipError without one, or with audio at no IPv4 address."""
    session, audio = _sections(decode(body).replace("\r\n", "\n").split("\n"))
    if not audio:
        raise SipError("the session description has no audio stream")
    port, payloads = _parse_media(audio[0])
    return Description(
        host=_connection_host(audio) or _connection_host(session) or "0.0.0.0",
        port=port,
        codecs=tuple(payload for payload in payloads if payload in CODEC_NAMES),
        event_payload=_event_payload(audio),
        direction=_direction(audio) or _direction(session) or "sendrecv",
    )


def answer(offer: Description, host: str, port: int) -> Description:
    """Answer to `offer`: its first G.711 codec, its payload for telephone events, the mirrored direction."""
    if not offer.codecs:
        raise SipError("the offer has no G.711 codec")
    return Description(host, port, offer.codecs[:1], offer.event_payload, MIRRORED[offer.direction])


def _sections(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Lines of the session, and of the first audio stream."""
    session, audio = list[str](), list[str]()
    current = session
    for line in lines:
        if line.startswith("m="):
            current = audio if line.startswith("m=audio ") and not audio else []
        current.append(line)
    return session, audio


def _parse_media(line: str) -> tuple[int, list[int]]:
    fields = line.split()
    numbers = [fields[1].partition("/")[0], *fields[3:]] if len(fields) >= 4 else []
    if not numbers or not all(text.isascii() and text.isdigit() and len(text) <= 5 for text in numbers):
        raise SipError("malformed m=audio line")
    if int(numbers[0]) > 65535:
        raise SipError("the port of the audio stream is out of range")
    return int(numbers[0]), [int(text) for text in numbers[1:]]


def _connection_host(lines: Sequence[str]) -> str | None:
    """Where audio goes; SipError for a name: it would be looked up with every packet."""
    fields = next((line.split() for line in lines if line.startswith("c=")), None)
    if fields is None:
        return None
    if len(fields) != 3 or fields[:2] != ["c=IN", "IP4"]:
        raise SipError("the audio stream has no IPv4 address")
    return ipv4(fields[2].partition("/")[0])


def _direction(lines: Sequence[str]) -> Direction | None:
    return next((name for name in get_args(Direction) if f"a={name}" in lines), None)


def _event_payload(lines: Sequence[str]) -> int | None:
    for line in lines:
        payload, _, encoding = line.removeprefix("a=rtpmap:").partition(" ")
        if line.startswith("a=rtpmap:") and encoding.lower().startswith("telephone-event/8000"):
            known = payload.isascii() and payload.isdigit() and len(payload) <= 3 and int(payload) < 128
            return int(payload) if known else None
    return None
