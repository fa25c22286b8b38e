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
_DROPOUT_MOST, _MISORDERED_MOST = 3000, 100
"""RFC 3550 appendix A.1: a jump further on, or back, is a new beginning."""


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
    came: list[bool]
    """Whether each packet that was expected came, in the order in which they were sent."""

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self.expected - self.received

    @property
    def loss_share(self) -> float | None:
        """Of what was expected; None of nothing."""
        return self.lost / self.expected if self.expected else None


def measure(packets: Sequence[Packet], clock_hz: int = SAMPLE_RATE_HZ) -> Stream:
    """The figures of packets of one source, in order of arrival.

    A sender that begins anew, with other numbers and another clock, has lost nothing by it: each part is judged by itself.
    """
    parts = [_measure_part(part, clock_hz) for part in _parts(packets)]
    came = [each for part in parts for each in part.came]
    return Stream(
        len(came),
        sum(part.received for part in parts),
        sum(part.repeated for part in parts),
        sum(part.reordered for part in parts),
        _jitter_ms([part.variation_ms for part in parts]),
        [each for part in parts for each in part.variation_ms],
        bursts(came),
        came,
    )


class _Part(NamedTuple):
    """Packets whose numbers and time stamps belong together."""

    came: list[bool]
    received: int
    repeated: int
    reordered: int
    variation_ms: list[float]
    """In order of arrival, of each packet once."""


def _measure_part(packets: Sequence[tuple[int, Packet]], clock_hz: int) -> _Part:
    seen = set[int]()
    transits = list[float]()
    highest = -1
    repeated = reordered = 0
    first = packets[0][1]
    for number, packet in packets:
        if number in seen:
            repeated += 1
            continue
        seen.add(number)
        reordered += number < highest
        highest = max(highest, number)
        transits.append(packet.arrival_ns / 1e6 - _unwrapped(packet, first) * 1000 / clock_hz)
    least = min(transits)
    return _Part(
        [number in seen for number in range(min(seen), max(seen) + 1)],
        len(seen),
        repeated,
        reordered,
        [transit - least for transit in transits],
    )


def _parts(packets: Sequence[Packet]) -> list[list[tuple[int, Packet]]]:
    """Packets with sequence numbers that go on after 65535, each near the one before, in parts that each begin anew.

    One packet whose number jumps away is left out: it begins a part only when the next one follows it (RFC 3550 appendix A.1).
    """
    parts = list[list[tuple[int, Packet]]]()
    for packet, following in zip(packets, [*packets[1:], None], strict=False):
        last = parts[-1][-1][0] if parts else packet.sequence
        step = _step(packet, last)
        if parts and -_MISORDERED_MOST <= step < _DROPOUT_MOST:
            parts[-1].append((last + step, packet))
        elif not parts or (following is not None and _step(following, packet.sequence) == 1):
            parts.append([(packet.sequence, packet)])
    return parts


def _step(packet: Packet, last: int) -> int:
    """From a number to the packet's, the shorter way round."""
    return (packet.sequence - last + _HALF) % (2 * _HALF) - _HALF


def _unwrapped(packet: Packet, first: Packet) -> int:
    return (packet.timestamp - first.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)


def _jitter_ms(parts: Sequence[Sequence[float]]) -> float | None:
    """Of delays in parts, of which only those of one part can be compared."""
    differences = [abs(after - before) for part in parts for before, after in itertools.pairwise(part)]
    if not differences:
        return None
    jitter = 0.0
    for difference in differences:
        jitter += (difference - jitter) / 16
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
