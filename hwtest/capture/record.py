"""Records of SIP messages, made from packets. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from hwtest.useragent import wire
from hwtest.useragent.wire import Request, Response, SipError

_UDP = 17
_IPV4_LEAST_BYTES = 20
_UDP_HEADER = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class Record:
    """One SIP message and when the kernel saw it, in nanoseconds of UTC."""

    stamp_ns: int
    source_port: int
    destination_port: int
    label: str
    """Method of a request, status of a response."""
    method: str
    """Method of CSeq: what a response answers."""
    sequence_number: int
    call_id: str
    branch: str
    in_dialog: bool
    """Whether To has a tag: a request that is inside a dialog already."""
    from_user: str
    edge_call: str | None = None
    """X-Edge-Call: the daemon's own name of the call, on agents' legs only."""
    edge_callback: bool = False
    """Whether it carries X-Edge-Callback: the agent is rung before the person is."""
    to_user: str = ""
    """User part of To: who was called."""

    @property
    def may_repeat(self) -> bool:
        """Whether it may come again though nothing was lost."""
        return may_repeat(self.label)

    @property
    def identity(self) -> tuple[str, ...]:
        """What only a retransmission of the same message shares."""
        ports = (str(self.source_port), str(self.destination_port))
        return (*ports, self.call_id, str(self.sequence_number), self.method, self.label, self.branch)


def read_datagram(packet: bytes) -> tuple[int, int, bytes] | None:
    """Source port, destination port and payload of an IPv4 packet with a whole UDP datagram; None for anything else."""
    if len(packet) < _IPV4_LEAST_BYTES or packet[0] >> 4 != 4 or packet[9] != _UDP:
        return None
    start = 4 * (packet[0] & 0x0F)
    later_fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF  # offset, or more to come
    if start < _IPV4_LEAST_BYTES or later_fragment or len(packet) < start + _UDP_HEADER.size:
        return None
    source, destination, length, _ = _UDP_HEADER.unpack_from(packet, start)
    payload = packet[start + _UDP_HEADER.size : start + length]
    return (source, destination, payload) if len(packet) >= start + length else None


def may_repeat(label: str) -> bool:
    """Whether a message of this label may come again though nothing was lost: the ACK of a 2xx, and provisional answers.

    A phone says each minute that it still rings, and each branch of a fork says it of itself (RFC 3261 §13.3.1.1, §16.7).
    """
    return label == "ACK" or (label.isdecimal() and int(label) < 200)


def record_of(message: Request | Response, stamp_ns: int, source_port: int, destination_port: int) -> Record:
    """The record of one message."""
    number, method = message.cseq
    return Record(
        stamp_ns,
        source_port,
        destination_port,
        message.label,
        method,
        number,
        _printable(message.call_id),
        _printable(message.branch),
        bool(message.to_tag),
        _printable(message.from_address.user),
        _printable(message.header("X-Edge-Call") or "") or None,
        message.header("X-Edge-Callback") is not None,
        _printable(message.to_address.user),
    )


def _printable(text: str) -> str:
    """Bytes that are not UTF-8 become `?`: a stranger wrote them, and records travel as JSON."""
    return text.encode("utf-8", "replace").decode("utf-8")


def parse(stamp_ns: int, source_port: int, destination_port: int, payload: bytes) -> Record | None:
    """The record of one datagram; None when it is not SIP."""
    try:
        return record_of(wire.parse(payload), stamp_ns, source_port, destination_port)
    except SipError:
        return None


def retransmissions(records: Iterable[Record]) -> int:
    """How many records repeat an earlier one, those left out that may."""
    seen = set[tuple[str, ...]]()
    repeated = 0
    for record in records:
        repeated += record.identity in seen and not record.may_repeat
        seen.add(record.identity)
    return repeated
