"""Test calls one after the other, each with its messages on the wire, and the facts of the record that are about it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from edge.core.facts import CallArrived, Entry
from hwtest.bench.facts import STANDS_FOR, Comparison, compare_facts
from hwtest.bench.readings import is_new_call
from hwtest.capture import Capture, Record
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import Site, whole
from hwtest.useragent import AgentPhone, CallEnded, CallState, ringing_only
from hwtest.useragent.call import IncomingCall

RING_SECONDS = 6.0
"""So long the test phone is waited for."""
SETTLE_SECONDS = 3.0
"""So long both legs may take to end."""
RING_BEFORE_SECONDS = (0.05, 0.2)
TALK_SECONDS = (0.1, 0.4)


class Course(StrEnum):
    """How a test call goes."""

    CALLER_ENDS = "the caller hangs up"
    AGENT_ENDS = "the agent hangs up"
    ABANDONED = "the caller gives up while the phone rings"


EVENTS: dict[str, tuple[str, str]] = {
    "arrival": ("CallArrived", STANDS_FOR["CallArrived"]),
    "offer": ("OfferMade", STANDS_FOR["OfferMade"]),
    "answer": ("OfferAnswered", STANDS_FOR["OfferAnswered"]),
    "connection": ("CallConnected", STANDS_FOR["CallConnected"]),
    "hang_up": ("CallEnded", "the first BYE of an answered call, the caller's or the agent's"),
    "abandonment": ("CallEnded", "the caller's CANCEL"),
}
"""Each kind of event: the fact that records it, and which message stands for it."""


@dataclass(slots=True)
class Trial:
    """One test call. `rung`: whether the test phone was; `edge_call`: the daemon's name of the call, which the phone was told."""

    course: Course
    sip_call_id: str
    caller_port: int
    phone_port: int
    rung: bool = False
    edge_call: str | None = None
    records: list[Record] = field(default_factory=list)

    @property
    def invited_ns(self) -> int | None:
        """When its INVITE was on the wire."""
        return next(
            (r.stamp_ns for r in self.records if r.label == "INVITE" and r.call_id == self.sip_call_id), None
        )

    @property
    def number(self) -> str:
        """From where it was placed."""
        return next((r.from_user for r in self.records if r.call_id == self.sip_call_id), "")

    @property
    def ended_ns(self) -> int | None:
        """When the first goodbye was on the wire, from either phone."""
        ours = (self.caller_port, self.phone_port)
        return next(
            (r.stamp_ns for r in self.records if r.label in ("BYE", "CANCEL") and r.source_port in ours), None
        )


def courses(count: int) -> list[Course]:
    """So many calls, every way as often as the others."""
    return [list(Course)[number % len(Course)] for number in range(count)]


Between = Callable[[int], Awaitable[None]]


async def place(site: Site, count: int, between: Between | None = None) -> list[Trial]:
    """So many test calls, one after the other. `between` is awaited before each.

    NotMeasuredError without a test line or a wire, and when none of them rings the phone.
    """
    name, line = site.test_line()
    assert line.phone is not None, "a test line has a phone"
    trials = list[Trial]()
    async with site.capture() as capture, site.phone(line.phone, ringing_only()) as phone:
        for number, course in enumerate(courses(count)):
            if between is not None:
                await between(number)
            site.say(f"line {name}, call {number + 1} of {count}")
            await capture.take()
            trials.append(await _one(site, capture, phone, line.number, course))
    if not any(trial.rung for trial in trials):
        raise NotMeasuredError(
            f"none of {count} calls to line {name} rang its test phone", "hwtest run call.one"
        )
    return trials


async def _one(site: Site, capture: Capture, phone: AgentPhone, number: str, course: Course) -> Trial:
    before = len(phone.calls)
    async with site.dial(number) as call:
        trial = Trial(course, call.dialog.call_id, call.agent.address[1], phone.agent.address[1])
        try:
            async with asyncio.timeout(RING_SECONDS):
                while len(phone.calls) == before:
                    await call.lasts(0.02)
                    if call.state is CallState.ENDED:
                        break
            rung = phone.calls[-1] if len(phone.calls) > before else None
            if rung is not None:
                trial.rung, trial.edge_call = True, rung.header("X-Edge-Call")
                await _converse(site, course, rung)
                await call.hang_up()
                await rung.ended(SETTLE_SECONDS)
        except (TimeoutError, CallEnded):
            pass
    # A message that is missing here would be an event too much in the record.
    trial.records = [record for record in whole(await capture.take()) if _is_of(record, trial)]
    return trial


async def _converse(site: Site, course: Course, rung: IncomingCall) -> None:
    await rung.lasts(site.dice.uniform(*RING_BEFORE_SECONDS))
    if course is Course.ABANDONED:
        return
    rung.answer()
    await rung.until(lambda: rung.state >= CallState.ANSWERED, SETTLE_SECONDS)
    await rung.lasts(site.dice.uniform(*TALK_SECONDS))
    if course is Course.AGENT_ENDS:
        await rung.hang_up()


def _is_of(record: Record, trial: Trial) -> bool:
    return bool({record.source_port, record.destination_port} & {trial.caller_port, trial.phone_port})


@dataclass(slots=True)
class Told:
    """A test call and the facts about it; `calls`: as how many calls the record has it."""

    trial: Trial
    entries: list[Entry]
    calls: int


def match(trials: Sequence[Trial], entries: Sequence[Entry]) -> list[Told]:
    """Each test call with its facts: by the daemon's name of the call where the phone was told it, else in the order of arrival
    of what is left."""
    arrivals = [
        entry.fact.call_id for entry in entries if isinstance(entry.fact, CallArrived) and entry.fact.test
    ]
    named = {trial.edge_call for trial in trials if trial.edge_call}
    left = [call_id for call_id in arrivals if call_id not in named]
    told = []
    for trial in trials:
        call_id = trial.edge_call or (left.pop(0) if left else None)
        own = [e for e in entries if call_id is not None and getattr(e.fact, "call_id", None) == call_id]
        told.append(Told(trial, own, arrivals.count(call_id) if call_id else 0))
    return told


def compare(told: Iterable[Told]) -> dict[str, Comparison]:
    """By kind of event: how far each fact is from the message that it is about, what is missing and what is too much."""
    made = {event: Comparison(kind=fact) for event, (fact, _) in EVENTS.items()}
    for one in told:
        for each in compare_facts(
            one.trial.records,
            [_with_number(entry, one.trial.number) for entry in one.entries],
            {one.trial.caller_port},
            {one.trial.phone_port},
        ):
            event = _event(each.kind, one.trial.course)
            made[event].errors += each.errors
            made[event].missing += each.missing
            made[event].extra += each.extra
            made[event].crossed += each.crossed
    return made


def _event(kind: str, course: Course) -> str:
    if kind == "CallEnded":
        return "abandonment" if course is Course.ABANDONED else "hang_up"
    return next(event for event, (fact, _) in EVENTS.items() if fact == kind)


def _with_number(entry: Entry, number: str) -> Entry:
    """A reader without the right to numbers is given none, and a call has one caller alone: that of the wire is taken."""
    if not isinstance(entry.fact, CallArrived):
        return entry
    return dataclasses.replace(entry, fact=dataclasses.replace(entry.fact, caller_number=number))


def rung_by_switch_alone(trial: Trial) -> bool:
    """Whether the phone was rung by the switch's own dialplan: the daemon names its calls."""
    return trial.rung and not any(r.edge_call for r in trial.records if is_new_call(r, {trial.phone_port}))
