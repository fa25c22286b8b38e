"""A received RTP stream by its packets: loss, jitter, delay variation, bursts and gaps. Pure.

It judges what came in at the tap and no more: loss behind it is not seen, so it belongs beside the listener.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hwtest.useragent.g711 import SAMPLE_RATE_HZ

GAP_PACKETS = 16
"""Gmin of RFC 3611 §4.7.2: so many packets received in a row end a burst."""
_HALF = 1 << 15
_MISORDERED_MOST = 100  # RFC 3550 appendix A.1


class Packet(NamedTuple):
    """What counts of one RTP packet of one source."""

    sequence: int
    timestamp: int
    arrival_ns: int


@dataclass(frozen=True, slots=True)
class Bursts:
    """Loss in bursts and in gaps (RFC 3611 §4.7.2). Densities: share of packets lost in there, None where there is none."""

    burst_packets: float
    """Mean length of a burst."""
    gap_packets: float
    burst_density: float | None
    gap_density: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Stream:
    """The figures of one stream."""

    expected: int
    received: int
    """Of those that were expected, each once."""
    repeated: int
    reordered: int
    jitter_ms: float | None
    """RFC 3550 §6.4.1, at the end; smoothed, so the percentiles of `variation_ms` belong beside it."""
    variation_ms: list[float]
    """Delay of each packet over the least of all (PDV of RFC 5481 §4.2)."""
    bursts: Bursts

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self.expected - self.received

    @property
    def loss_share(self) -> float | None:
        """Of what was expected; None of nothing."""
        return self.lost / self.expected if self.expected else None


def measure(packets: Sequence[Packet], clock_hz: int = SAMPLE_RATE_HZ) -> Stream:
    """The figures of packets of one source, in order of arrival."""
    numbers = _extended(packets)
    seen = set[int]()
    transits = list[float]()
    highest = -1
    repeated = reordered = 0
    for number, packet in zip(numbers, packets, strict=True):
        if number in seen:
            repeated += 1
            continue
        seen.add(number)
        reordered += number < highest
        highest = max(highest, number)
        transits.append(packet.arrival_ns / 1e6 - _unwrapped(packet, packets[0]) * 1000 / clock_hz)
    expected = max(seen) - min(seen) + 1 if seen else 0
    first = min(seen, default=0)
    return Stream(
        expected,
        len(seen),
        repeated,
        reordered,
        _jitter_ms(transits),
        [transit - min(transits) for transit in transits],
        bursts([first + index in seen for index in range(expected)]),
    )


def _extended(packets: Sequence[Packet]) -> list[int]:
    """Sequence numbers that go on after 65535; each is taken to be near the one before."""
    numbers = list[int]()
    last = None
    for packet in packets:
        if last is None:
            last = packet.sequence
        else:
            last += (packet.sequence - last + _HALF) % (2 * _HALF) - _HALF
        numbers.append(last)
    return numbers


def _unwrapped(packet: Packet, first: Packet) -> int:
    return (packet.timestamp - first.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)


def _jitter_ms(transits: Sequence[float]) -> float | None:
    if len(transits) < 2:
        return None
    jitter = 0.0
    for before, after in itertools.pairwise(transits):
        jitter += (abs(after - before) - jitter) / 16
    return jitter


def bursts(received: Sequence[bool], gap_packets: int = GAP_PACKETS) -> Bursts:
    """Bursts: from a lost packet to a lost packet, never `gap_packets` received in a row between. The rest is gap.

    A lost packet alone among received ones belongs to the gap.
    """
    lost = [index for index, came in enumerate(received) if not came]
    groups = list[list[int]]()
    for index in lost:
        if groups and index - groups[-1][-1] <= gap_packets:
            groups[-1].append(index)
        else:
            groups.append([index])
    found = [group for group in groups if len(group) > 1]
    in_bursts = sum(group[-1] - group[0] + 1 for group in found)
    lost_in_bursts = sum(len(group) for group in found)
    in_gaps = len(received) - in_bursts
    return Bursts(
        in_bursts / len(found) if found else 0.0,
        in_gaps / (len(found) + 1),
        lost_in_bursts / in_bursts if in_bursts else None,
        (len(lost) - lost_in_bursts) / in_gaps if in_gaps else None,
        len(found),
    )


def burst_ratio(received: Sequence[bool]) -> float | None:
    """BurstR of G.107 §7.2: mean length of runs of lost packets by what chance alone would give; None without loss."""
    lost = sum(not came for came in received)
    if not lost or lost == len(received):
        return None
    runs = sum(not came and (index == 0 or received[index - 1]) for index, came in enumerate(received))
    return lost / runs * (1 - lost / len(received))
