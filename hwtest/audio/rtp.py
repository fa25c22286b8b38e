"""RTP of one port as the kernel saw it arrive, while a block lasts. Needs a raw socket (CAP_NET_RAW)."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from hwtest.audio.signal import Samples
from hwtest.audio.stream import Packet
from hwtest.capture.record import read_datagram
from hwtest.capture.sniffer import Sniffer
from hwtest.useragent.g711 import A_LAW, MU_LAW, SAMPLE_RATE_HZ
from hwtest.useragent.media import payload_of

_HEADER = struct.Struct("!BBHII")
_RTCP = range(72, 77)  # RFC 5761 §4: as payload types these are RTCP
_EVENTS_FROM = 96
"""Dynamic payload types: telephone events, whose time stamps do not move with the packets."""


_EXPANDED = {
    0: np.array(MU_LAW.values, np.float64),
    8: np.array(A_LAW.values, np.float64),
}  # RFC 3551 table 4
_LONGEST_SAMPLES = 600 * SAMPLE_RATE_HZ
"""A time stamp that jumps further is no speech of this call."""


def _since(timestamp: int, first: int) -> int:
    return (timestamp - first + (1 << 31)) % (1 << 32) - (1 << 31)


@dataclass(slots=True)
class Arrivals:
    """What came in at one port, by synchronisation source."""

    port: int
    sources: dict[int, list[Packet]] = field(default_factory=lambda: defaultdict(list))
    speech: dict[int, list[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """Payload type and G.711 of the same packets."""
    dropped: int | None = None
    """Packets that the capture lost; None until the end."""
    malformed: int = 0

    def take(self, data: bytes, stamp_ns: int) -> None:
        """One packet from its IP header on, and when it arrived (ns of one clock)."""
        datagram = read_datagram(data)
        if datagram is None or datagram[1] != self.port:
            return
        payload = datagram[2]
        if len(payload) < _HEADER.size or payload[0] >> 6 != 2:
            self.malformed += 1
            return
        _, kind, sequence, timestamp, source = _HEADER.unpack_from(payload)
        if kind & 0x7F in _RTCP or kind & 0x7F >= _EVENTS_FROM:
            return
        self.sources[source].append(Packet(sequence, timestamp, stamp_ns))
        self.speech[source].append((kind & 0x7F, payload_of(payload) or b""))

    @property
    def longest(self) -> list[Packet]:
        """The packets of the source that sent most: a switch may change its source at the start of a call."""
        return self.sources[self._main] if self.sources else []

    @property
    def heard(self) -> Samples:
        """What they carry, laid out by their time stamps from the first packet's on; zeros where one is missing."""
        packets = self.longest
        if not packets:
            return np.zeros(0)
        pieces = [
            (_since(packet.timestamp, packets[0].timestamp), _EXPANDED[kind][np.frombuffer(codes, np.uint8)])
            for packet, (kind, codes) in zip(packets, self.speech[self._main], strict=True)
            if kind in _EXPANDED
        ]
        length = max((at + piece.size for at, piece in pieces if 0 <= at < _LONGEST_SAMPLES), default=0)
        samples = np.zeros(length)
        for at, piece in pieces:
            if at >= 0 and at + piece.size <= length:
                samples[at : at + piece.size] = piece
        return samples

    @property
    def _main(self) -> int:
        return max(self.sources, key=lambda source: len(self.sources[source]))


@contextmanager
def arriving(port: int, interface: str = "lo") -> Iterator[Arrivals]:
    """Packets that arrive at this port, stamped with the monotonic clock. PermissionError without CAP_NET_RAW."""
    sniffer = Sniffer(port, interface)
    arrivals = Arrivals(port)
    loop = asyncio.get_running_loop()

    def read() -> None:
        ahead_ns = time.time_ns() - time.monotonic_ns()  # the kernel stamps with the UTC clock only
        for packet in sniffer.read():
            arrivals.take(packet.data, packet.stamp_ns - ahead_ns)

    loop.add_reader(sniffer.fileno(), read)
    try:
        yield arrivals
    finally:
        loop.remove_reader(sniffer.fileno())
        read()
        arrivals.dropped = sniffer.count_dropped()
        sniffer.close()
