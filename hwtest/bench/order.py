"""The order of service under priority: callers of three sorts, five agents, nobody rung for before who should come first.

So many wait all the time; whoever is served is replaced by somebody new, of a sort that the dice give, until as many have called
as are wanted. The order that must come of it is worked out from the configuration's file and the wire alone: 999 before all
others, then by time of joining less the head start of the class. Beside it app_queue serves the same mixture with what it has:
its own priority for a 999, and position for all others, as it knows no head start.

The record is asked about one thing only: a ring that was decided on while somebody who comes first was on the wire and had not
arrived yet is no error, as nobody could have known. The figure says how many such rings there were, and how long the longest of
those arrivals took.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.core.facts import CallArrived, Entry, OfferMade
from edge.ledger.store import open_reader
from hwtest.audio.prompt import document_of
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import firsts, is_new_call
from hwtest.bench.results import Figure, Outcome, count_errors, unmeasured
from hwtest.bench.rig import (
    OURS,
    PLAIN_QUEUE,
    PLAIN_QUEUE_FIRST,
    Measured,
    Rig,
    RigError,
    Stretch,
    number_of,
)
from hwtest.capture import Record
from hwtest.policing import EMERGENCY, Joined, Kind, kinds_of
from hwtest.useragent.call import IncomingCall

NAME = "order under priority"
NOUN = "order errors"
TARGET = f"0 {NOUN}"
WIRE_ORDER_NS = 50_000_000
"""What is nearer than this may be in either order on the wire: requests for two free agents are on their way at once."""
SHARES = (0.15, 0.6)
"""Of 999 among all callers, and of the class without a head start among the rest of them."""
RING_SECONDS = 0.015
TALK_SECONDS = (0.1, 0.5)
REFILL_SECONDS = (0.0, 0.5)
APART_SECONDS = 0.025
_SECONDS_PER_CALL = 1.0
_PATIENCE_SECONDS = 30.0
_TELL_EVERY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`calls` in all, of whom `waiting` wait at a time; `beside`: calls of app_queue, which takes so long with each; `least`:
    what is asked for."""

    calls: int
    beside: int = 0
    waiting: int = 30
    agents: int = 5
    least: int = 1000


@dataclass(slots=True)
class Wait:
    """One caller on the wire: when they called, when phones rang for them, and when they left. Nanoseconds."""

    who: Joined
    rings: list[list[int | None]] = field(default_factory=list)
    """From the INVITE to an agent's phone until the switch took it back; None: it did not."""
    gone_ns: int | None = None

    def waits_at(self, instant_ns: int) -> bool:
        """Whether they waited then, beyond doubt: joined, not gone, and no phone rang or had answered for them."""
        before, after = instant_ns - WIRE_ORDER_NS, instant_ns + WIRE_ORDER_NS
        if self.who.at * 1e9 > before or (self.gone_ns is not None and self.gone_ns < after):
            return False
        return not any(
            begun is not None and begun < after and (ended is None or ended > before)
            for begun, ended in self.rings
        )


def read(
    records: Iterable[Record],
    kinds: Mapping[str, Kind],
    caller_ports: Collection[int],
    agent_ports: Collection[int],
) -> list[Wait]:
    """Everybody who called, in the order of calling. `kinds`: what each number called for."""
    waits, callers, legs = dict[str, Wait](), dict[str, Wait](), dict[str, list[int | None]]()
    for record in firsts(records):
        number = comparable(record.from_user)
        if record.source_port in caller_ports and record.label == "INVITE" and not record.in_dialog:
            if number in kinds:
                wait = Wait(Joined(who=number, kind=kinds[number], at=record.stamp_ns / 1e9))
                waits[number] = callers[record.call_id] = wait
        elif is_new_call(record, agent_ports):
            if number in waits:
                legs[record.call_id] = [record.stamp_ns, None]
                waits[number].rings.append(legs[record.call_id])
        elif record.label == "CANCEL" and record.call_id in legs:
            legs[record.call_id][1] = record.stamp_ns
        elif record.label in ("BYE", "CANCEL") and record.call_id in callers:
            callers[record.call_id].gone_ns = callers[record.call_id].gone_ns or record.stamp_ns
    return list(waits.values())


@dataclass(frozen=True, slots=True)
class Fault:
    """`early` was rung for at this instant, while `passed` waited, who should have come first."""

    early: Wait
    passed: Wait
    instant_ns: int
    known: bool
    """Whether `passed` had arrived in the record when this ring was decided on."""


class Known:
    """What the daemon knew, and since when: the record's own order of arrivals and offers."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._arrived = dict[str, Entry]()
        """By the caller's number."""
        self._offers = dict[str, list[Entry]]()
        callers = dict[str, str]()
        for entry in entries:
            match entry.fact:
                case CallArrived(call_id=call_id, caller_number=number):
                    callers[call_id] = comparable(number)
                    self._arrived.setdefault(callers[call_id], entry)
                case OfferMade(call_id=call_id) if call_id in callers:
                    self._offers.setdefault(callers[call_id], []).append(entry)

    def knew(self, number: str, rung: str, begun_ns: int) -> bool:
        """Whether `number` had arrived when the ring for `rung` that began then was decided on. Of whom the record does not tell
        it is no excuse."""
        arrived = self._arrived.get(number)
        offers = [each for each in self._offers.get(rung, ()) if each.at.utc_us * 1000 <= begun_ns]
        return arrived is None or not offers or arrived.sequence < offers[-1].sequence

    def arrival_ms(self, wait: Wait) -> float:
        """How long it took from this caller's INVITE until they had arrived in the record."""
        return self._arrived[wait.who.who].at.utc_us / 1e3 - wait.who.at * 1e3


NOTHING_KNOWN = Known(())
"""The record of a system that keeps none: it excuses no ring."""


def errors(waits: Sequence[Wait], known: Known = NOTHING_KNOWN) -> list[Fault]:
    """Every ring that was somebody else's by right, those that nobody could have known of among them."""
    found = list[Fault]()
    for early in waits:
        for begun, _ in early.rings:
            assert begun is not None, "a ring has a beginning"
            passed = [other for other in waits if _precedes(other.who, early.who) and other.waits_at(begun)]
            knew = [other for other in passed if known.knew(other.who.who, early.who.who, begun)]
            if passed:
                first = min(knew or passed, key=lambda wait: wait.who.key)
                found.append(Fault(early, first, begun, bool(knew)))
    return found


def _precedes(first: Joined, second: Joined) -> bool:
    """Whether the one must be served before the other, beyond doubt."""
    if first.kind.emergency is not second.kind.emergency:
        return first.kind.emergency
    return first.key[1] < second.key[1] - WIRE_ORDER_NS / 1e9


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """All of them served, and what the wire says. RigError where the lab has not three sorts of callers."""
    agents = min(plan.agents, len(rig.lab.agents))
    sorts = _sorts(kinds_of(document_of(rig.lab), rig.lab.agents[0].skills))
    await rig.staff(agents)
    outcome = Outcome()
    for system, calls in ((OURS, plan.calls), (PLAIN_QUEUE, plan.beside)):
        if not calls:
            continue
        await rig.serve_for(system)
        room = _Room(rig, replace(plan, calls=calls), sorts, system)
        with closing(open_reader(rig.lab.ledger)) as reader:
            before = reader.last_sequence()
            measured = await room.measure(agents)
            known = Known(entries_after(reader, before))
        waits = read(measured.taken.records, room.kinds, rig.caller_ports, rig.agent_ports)
        block = measured.block(NAME, system, [])
        outcome.blocks.append(block)
        outcome.figures.append(
            figure(plan, waits, agents, block.invalid, known)
            if system == OURS
            else beside(waits, block.invalid)
        )
    return outcome


def beside(waits: Sequence[Wait], fault: str | None) -> Figure:
    """What app_queue did with the same mixture; nothing is asked of it."""
    wrong, rings = errors(waits), sum(len(wait.rings) for wait in waits)
    passed = [(each.early.who.kind.words, each.passed.who.kind.words) for each in wrong]
    counted = "; ".join(
        f"{passed.count(pair)} times {pair[0]} before {pair[1]}" for pair in dict.fromkeys(passed)
    )
    unserved = sum(not wait.rings for wait in waits)
    return Figure(
        name=NAME,
        system=PLAIN_QUEUE,
        unit=f"of {rings}",
        value=len(wrong),
        notes=[
            f"{PLAIN_QUEUE}: {counted or 'none'}; {len(waits)} callers, {unserved} of them never rung for",
            *([f"{PLAIN_QUEUE}: the block has {fault}"] if fault else []),
        ],
    )


def figure(
    plan: Plan, waits: Sequence[Wait], agents: int, fault: str | None, known: Known = NOTHING_KNOWN
) -> Figure:
    """The one row. Who was never rung for makes it not measured, as there is nothing to say of their place."""
    unserved = sum(not wait.rings for wait in waits)
    if unserved:
        return unmeasured(NAME, TARGET, f"{unserved} of {len(waits)} callers were never rung for")
    found = errors(waits, known)
    wrong, unforeseen = [each for each in found if each.known], [each for each in found if not each.known]
    places = {wait.who.who: place for place, wait in enumerate(waits, 1)}
    rings = sum(len(wait.rings) for wait in waits)
    made = count_errors(NAME, OURS, [places[each.early.who.who] for each in wrong], rings, NOUN)
    if not waits:
        return made
    counts = ", ".join(
        f"{sum(wait.who.kind == kind for wait in waits)} of {kind.words}"
        for kind in sorted({wait.who.kind for wait in waits}, key=lambda kind: kind.words)
    )
    made.notes.append(f"{len(waits)} callers ({counts}), {agents} agents, {plan.waiting} waiting at a time")
    made.notes.extend(
        f"no. {places[each.early.who.who]} ({each.early.who.kind.words}) was rung for before no. "
        f"{places[each.passed.who.who]} ({each.passed.who.kind.words}), who had called "
        f"{each.instant_ns / 1e9 - each.passed.who.at:.3f} s before"
        for each in wrong[:3]
    )
    if unforeseen:
        longest_ms = max(known.arrival_ms(each.passed) for each in unforeseen)
        made.notes.append(
            f"{len(unforeseen)} rings more were decided on while somebody who comes first was on the wire and not yet in the "
            f"record: no errors; the longest such arrival took {longest_ms:.0f} ms from the INVITE"
        )
    if fault:
        made.notes.append(f"the block has {fault}")
    return replace(made, small=len(waits) < plan.least or agents < plan.agents)


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(NAME, TARGET, why)]


def _sorts(kinds: Sequence[Kind]) -> tuple[Kind, Kind, Kind]:
    """999, 101 without and with a head start."""
    emergency = [kind for kind in kinds if kind.emergency]
    plain = [kind for kind in kinds if not kind.emergency and not kind.head_start_seconds]
    ahead = [kind for kind in kinds if not kind.emergency and kind.head_start_seconds]
    if not (emergency and plain and ahead):
        policy = Path("hwtest", "bench", "lab.toml")
        raise RigError(
            f"the lab has no {EMERGENCY}, or no two classes of 101: bring it up with --policy {policy}"
        )
    return emergency[0], plain[0], ahead[0]


class _Room:
    """Callers who are replaced, and agents who serve one after the other."""

    def __init__(self, rig: Rig, plan: Plan, sorts: tuple[Kind, Kind, Kind], system: str) -> None:
        self.kinds: dict[str, Kind] = {}
        """Whom each number called as."""
        self._rig = rig
        self._plan = plan
        self._sorts = sorts
        self._system = system
        self._dice = random.Random(NAME)
        self._begin = asyncio.Event()
        self._called = 0
        self._served = set[str]()
        """Numbers: one who is rung for and taken back is served once."""
        self._over = asyncio.Event()

    async def measure(self, agents: int) -> Measured:
        """Fill, serve all, and leave nobody behind."""
        with self._rig.behaviour(self._serve):
            try:
                stretch = await Stretch.begin(self._rig)
                for _ in range(min(self._plan.waiting + agents, self._plan.calls)):
                    self._call()
                    await asyncio.sleep(APART_SECONDS)
                self._begin.set()
                fault = None
                try:
                    seconds = self._plan.calls * _SECONDS_PER_CALL + _PATIENCE_SECONDS
                    await asyncio.wait_for(self._over.wait(), seconds)
                except TimeoutError:
                    fault = f"only {len(self._served)} of {self._plan.calls} served in time"
                return await stretch.end(fault)
            finally:
                self._begin.set()
                await self._rig.clear()

    def _call(self) -> None:
        if self._called >= self._plan.calls:
            return
        self._called += 1
        emergency, plain, ahead = self._sorts
        routine = plain if self._dice.random() < SHARES[1] else ahead
        kind = emergency if self._dice.random() < SHARES[0] else routine
        self.kinds[comparable(number_of(self._rig.call(self._line_of(kind))))] = kind

    def _line_of(self, kind: Kind) -> str:
        if self._system == OURS:
            return kind.line
        return PLAIN_QUEUE_FIRST if kind.emergency else PLAIN_QUEUE

    async def _serve(self, call: IncomingCall) -> None:
        call.ring()
        if not await call.lasts(RING_SECONDS):
            return
        call.answer()
        await self._begin.wait()
        self._rig.callers.later(self._dice.uniform(*REFILL_SECONDS), self._call)
        if await call.lasts(self._dice.uniform(*TALK_SECONDS)):
            await call.hang_up()
        before = len(self._served)
        self._served.add(comparable(call.caller_number))
        served = len(self._served)
        if served > before and not served % _TELL_EVERY:
            self._rig.progress(f"{NAME}, {self._system}: {served} of {self._plan.calls} served")
        if served >= self._plan.calls:
            self._over.set()
