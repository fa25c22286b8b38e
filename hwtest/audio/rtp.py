"""RTP of one port as the kernel saw it arrive, while a block lasts. Needs a raw socket (CAP_NET_RAW)."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hwtest.audio.stream import Packet
from hwtest.capture.record import read_datagram
from hwtest.capture.sniffer import Sniffer

_HEADER = struct.Struct("!BBHII")
_RTCP = range(72, 77)  # RFC 5761 §4: as payload types these are RTCP
_EVENTS_FROM = 96
"""Dynamic payload types: telephone events, whose time stamps do not move with the packets."""


@dataclass(slots=True)
class Arrivals:
    """What came in at one port, by synchronisation source."""

    port: int
    sources: dict[int, list[Packet]] = field(default_factory=lambda: defaultdict(list))
    dropped: int | None = None
    """Packets that the capture lost; None until the end."""
    malformed: int = 0

    def take(self, data: bytes, stamp_ns: int) -> None:
        """One packet from its IP header on."""
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

    @property
    def longest(self) -> list[Packet]:
        """The packets of the source that sent most: a switch may change its source at the start of a call."""
        return max(self.sources.values(), key=len, default=[])


@contextmanager
def arriving(port: int, interface: str = "lo") -> Iterator[Arrivals]:
    """Packets that arrive at this port. PermissionError without CAP_NET_RAW."""
    sniffer = Sniffer(port, interface)
    arrivals = Arrivals(port)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for packet in sniffer.read():
            arrivals.take(packet.data, packet.stamp_ns)

    loop.add_reader(sniffer.fileno(), read)
    try:
        yield arrivals
    finally:
        loop.remove_reader(sniffer.fileno())
        read()
        arrivals.dropped = sniffer.count_dropped()
        sniffer.close()
