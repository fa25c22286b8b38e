"""Latencies read off the wire. Pure: records in order of their stamps give samples in milliseconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwtest.bench.numbers import comparable
from hwtest.capture import Record

_NANOSECONDS_PER_MILLISECOND = 1e6
_NANOSECONDS_PER_SECOND = 1e9


def firsts(records: Iterable[Record]) -> Iterator[Record]:
    """Records without retransmissions, which never reset a time (RFC 6076 §3)."""
    seen = set[tuple[str, ...]]()
    for record in sorted(records, key=lambda record: record.stamp_ns):
        if record.identity not in seen:
            seen.add(record.identity)
            yield record


def is_new_call(record: Record, ports: Collection[int]) -> bool:
    """Whether this is an INVITE that rings one of these phones."""
    return record.label == "INVITE" and not record.in_dialog and record.destination_port in ports


def dispatches(records: Iterable[Record], agent_ports: Collection[int]) -> Iterator[tuple[int, Record]]:
    """When an agent's phone sent BYE, and the next INVITE that rings the same phone."""
    free_since = dict[int, int]()
    for record in firsts(records):
        if record.label == "BYE" and record.source_port in agent_ports:
            free_since[record.source_port] = record.stamp_ns
        elif is_new_call(record, agent_ports) and record.destination_port in free_since:
            yield free_since.pop(record.destination_port), record


def dispatch_latencies(records: Iterable[Record], agent_ports: Collection[int]) -> list[float]:
    """From each BYE an agent's phone sent to the next INVITE that rings the same phone."""
    return [_milliseconds(free_ns, offer.stamp_ns) for free_ns, offer in dispatches(records, agent_ports)]


def is_callback(record: Record, agent_ports: Collection[int]) -> bool:
    """Whether this is an INVITE that rings an agent for a call-back."""
    return record.edge_callback and is_new_call(record, agent_ports)


def callback_latencies(records: Iterable[Record], agent_ports: Collection[int]) -> list[float]:
    """From each BYE an agent's phone sent to the next INVITE that rings the same phone, where that is for a call-back."""
    freed = dispatches(records, agent_ports)
    return [_milliseconds(free_ns, offer.stamp_ns) for free_ns, offer in freed if offer.edge_callback]


def person_latencies(
    records: Iterable[Record], agent_ports: Collection[int], person_ports: Collection[int]
) -> list[float]:
    """From the 200 of each agent who answers for a call-back to the INVITE that rings its person, known by the number."""
    legs, answered = dict[str, str](), dict[str, int]()
    samples = []
    for record in firsts(records):
        if is_callback(record, agent_ports):
            legs[record.call_id] = comparable(record.from_user)
        elif (record.label, record.method) == ("200", "INVITE") and record.call_id in legs:
            if record.source_port in agent_ports:
                answered[legs.pop(record.call_id)] = record.stamp_ns
        elif is_new_call(record, person_ports) and comparable(record.to_user) in answered:
            samples.append(_milliseconds(answered.pop(comparable(record.to_user)), record.stamp_ns))
    return samples


def joined_latencies(
    records: Iterable[Record], person_ports: Collection[int], connected_ns: Mapping[str, int]
) -> list[float]:
    """From each person's 200 to the instant at which they were joined to the agent, by number."""
    legs = dict[str, str]()
    samples = []
    for record in firsts(records):
        if is_new_call(record, person_ports):
            legs[record.call_id] = comparable(record.to_user)
        elif (record.label, record.method) == ("200", "INVITE") and record.source_port in person_ports:
            number = legs.pop(record.call_id, "")
            if number in connected_ns:
                samples.append(_milliseconds(record.stamp_ns, connected_ns[number]))
    return samples


def arrivals(records: Iterable[Record], caller_ports: Collection[int]) -> list[str]:
    """Callers' numbers in the order in which they called."""
    return [comparable(record.from_user) for record in firsts(records) if _is_arrival(record, caller_ports)]


def services(records: Iterable[Record], agent_ports: Collection[int]) -> list[tuple[str, int]]:
    """Callers' numbers, and when an agent's phone was rung for each, in that order."""
    rung = (record for record in firsts(records) if is_new_call(record, agent_ports))
    return [(comparable(record.from_user), record.stamp_ns) for record in rung]


def overtaken(joined: Sequence[str], served: Iterable[tuple[str, int]], within: int = 0) -> list[int]:
    """Place errors: who was served although somebody who had joined earlier was not, or was later by more than `within`; each by
    the place in the order of joining, from 1.

    `joined`: everybody, in order; `served`: who at which instant, the first time of each counts.
    """
    at = dict[str, int]()
    for who, instant in served:
        at.setdefault(who, instant)
    errors = list[int]()
    latest: int | None = None  # of those who joined before
    left_out = False
    for place, who in enumerate(joined, 1):
        if who not in at:
            left_out = True
            continue
        if left_out or (latest is not None and at[who] < latest - within):
            errors.append(place)
        latest = at[who] if latest is None else max(latest, at[who])
    return errors


def offer_latencies(
    records: Iterable[Record], caller_ports: Collection[int], agent_ports: Collection[int]
) -> list[float]:
    """From each caller's INVITE to the INVITE that rings an agent's phone; callers come one at a time."""
    arrived: int | None = None
    samples = []
    for record in firsts(records):
        if _is_arrival(record, caller_ports):
            arrived = record.stamp_ns
        elif is_new_call(record, agent_ports) and arrived is not None:
            samples.append(_milliseconds(arrived, record.stamp_ns))
            arrived = None
    return samples


@dataclass(frozen=True, slots=True)
class Reach:
    """One caller's way to an agent: when their INVITE left, and when the first that shows their number came to an agent's phone.
    Nanoseconds; None: never."""

    arrived_ns: int
    offered_ns: int | None

    @property
    def milliseconds(self) -> float | None:
        """How long it took."""
        return None if self.offered_ns is None else _milliseconds(self.arrived_ns, self.offered_ns)


def reaches(
    records: Iterable[Record], caller_ports: Collection[int], agent_ports: Collection[int]
) -> list[Reach]:
    """Every caller in order of arrival; they may come while others wait, and whoever rings the agent (we or app_queue) counts."""
    arrived, offered = dict[str, int](), dict[str, int]()
    for record in firsts(records):
        if _is_arrival(record, caller_ports):
            arrived[comparable(record.from_user)] = record.stamp_ns
        elif is_new_call(record, agent_ports):
            offered.setdefault(comparable(record.from_user), record.stamp_ns)
    return [Reach(at, offered.get(who)) for who, at in arrived.items()]


def longest_without(found: Sequence[Reach], until_ns: int) -> float:
    """Seconds of the longest stretch in which somebody waited and nobody was brought to an agent. Who was never brought waits
    until the end of measuring."""
    happenings = sorted(
        [(reach.arrived_ns, 1) for reach in found]
        + [(until_ns if reach.offered_ns is None else reach.offered_ns, -1) for reach in found]
    )
    longest, waiting, since = 0, 0, 0
    for at, change in happenings:
        if waiting and change < 0:
            longest = max(longest, at - since)
        if change < 0 or not waiting:
            since = at
        waiting += change
    return longest / _NANOSECONDS_PER_SECOND


def answer_latencies(records: Iterable[Record], caller_ports: Collection[int]) -> list[float]:
    """From each caller's INVITE to its 200."""
    arrived = dict[str, int]()
    samples = []
    for record in firsts(records):
        if _is_arrival(record, caller_ports):
            arrived[record.call_id] = record.stamp_ns
        elif (record.label, record.method) == ("200", "INVITE") and record.call_id in arrived:
            samples.append(_milliseconds(arrived.pop(record.call_id), record.stamp_ns))
    return samples


def arrival_rate(records: Iterable[Record], caller_ports: Collection[int]) -> float:
    """Calls a second that came, from the first INVITE to the last; 0 with less than two."""
    stamps = [record.stamp_ns for record in firsts(records) if _is_arrival(record, caller_ports)]
    if len(stamps) < 2:
        return 0.0
    return (len(stamps) - 1) * _NANOSECONDS_PER_SECOND / (stamps[-1] - stamps[0])


def stray_offers(records: Sequence[Record], agent_ports: Collection[int], *, ours: bool) -> int:
    """INVITEs to agents that the other system sent: ours carry X-Edge-Call, app_queue's do not."""
    offers = (record for record in records if is_new_call(record, agent_ports))
    return sum((record.edge_call is not None) is not ours for record in offers)


def _is_arrival(record: Record, caller_ports: Collection[int]) -> bool:
    return record.label == "INVITE" and not record.in_dialog and record.source_port in caller_ports


def _milliseconds(earlier_ns: int, later_ns: int) -> float:
    return (later_ns - earlier_ns) / _NANOSECONDS_PER_MILLISECOND
