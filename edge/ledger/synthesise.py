"""A made-up month of a large force, to try reports and pulls on: `edge ledger synthesise`.

Its first fact says that it is synthetic, its ledger's id begins with "synthetic" (and with it the id of every fact that a reader
is given), every command that reads it says so, and no daemon ever serves on it. Its numbers begin with +440: nobody's. Callers
arrive by a daily and weekly curve, wait in one order, 999 first, give up, take call-backs; agents come in shifts, miss a call now
and then, and take breaks. The same seed gives the same facts. The engine's own fold accepts every one of them.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from edge.core import facts
from edge.core.model import ClockState
from edge.ledger import chain
from edge.ledger.bulk import BulkWriter
from edge.ledger.store import open_sql_ledger
from edge.ports import LedgerError

ZONE = ZoneInfo("Europe/London")
HOURS = (30, 22, 17, 14, 13, 15, 24, 42, 66, 82, 92, 96, 98, 97, 96, 98, 102, 106, 104, 98, 90, 80, 66, 46)
"""Calls by hour of the day, of any unit."""
WEEKDAYS = (1.02, 0.98, 0.97, 0.99, 1.08, 1.06, 0.90)
MONOTONIC_NS = 10_000_000_000
SHIFTS = (7, 15, 23)
TALK_999, TALK_101 = (240_000, 0.6), (380_000, 0.7)
"""Median-like length in milliseconds, and spread, of a lognormal talk."""
NUMBERS = 400_000


@dataclass(slots=True)
class _Call:
    call_id: str
    joined: int
    tier: int
    line: str
    queue: str
    number: str | None
    waiting: bool = True
    offered_to: str | None = None
    offers: int = 0
    attempts: int = 0
    promised: bool = False
    connected: int = -1
    greeting: bool = False
    """It is being said."""


_Happening = tuple[int, int, Callable[[], None]]
"""When, the how manieth that was thought of, and what. A tuple: a million calls compare a hundred million of them."""


def synthesise(
    path: Path,
    calls: int,
    seed: int,
    start: datetime,
    days: int = 30,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make a new ledger there; how many facts it has. Raises `LedgerError` when there is a file already."""
    if path.exists():
        raise LedgerError(
            f"ledger {path}: there is such a file already; name a new one, as nothing is ever overwritten"
        )
    ledger_id = f"{chain.SYNTHETIC}{seed & (2**64 - 1):016x}{calls & 0xFFFFFFF:07x}"
    open_sql_ledger(f"sqlite:///{path}").close()
    writer = BulkWriter(path, ledger_id, chain.genesis(ledger_id).hash)
    _Room(writer, Random(seed), start.astimezone(UTC), calls, days, seed).run(progress)
    writer.close()
    return writer.sequence


class _Room:
    """The control room, in milliseconds after its first midnight."""

    def __init__(
        self, writer: BulkWriter, dice: Random, start: datetime, calls: int, days: int, seed: int
    ) -> None:
        self.writer, self.dice, self.calls, self.seed = writer, dice, calls, seed
        self.start_us = int(start.timestamp()) * 1_000_000
        self.start = start
        self.now = 0
        self.until = days * 86_400_000
        self.rates = _rates(start, calls, days, dice)
        self.happenings: list[_Happening] = []
        self.order = 0
        self.idle: deque[str] = deque()
        self.leaving: set[str] = set()
        self.on_duty: set[str] = set()
        self.emergency: deque[_Call] = deque()
        self.routine: deque[_Call] = deque()
        self.arrived = self.tasks = 0

    # --- time

    def later(self, milliseconds: float, do: Callable[[], None]) -> None:
        """Do it after so long."""
        self.order += 1
        heapq.heappush(self.happenings, (self.now + max(0, int(milliseconds)), self.order, do))

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """From the first midnight until the last call is over and the last shift has gone."""
        at_us = self.start_us + self.until * 1000
        self.say(facts.LedgerSynthesised(calls=self.calls, seed=self.seed, until_utc_us=at_us))
        self.say(facts.DaemonStarted(version="synthetic", policy_digest="", boot_id="synthetic"))
        self.say(facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0))
        self.say(facts.ClockChanged(state=ClockState.SYNCHRONISED, error_us=500))
        self.begin_shift(-1)
        for hour, loads in _shifts(self.start, self.until // 86_400_000):
            self.later(hour * 3_600_000, lambda at=loads: self.begin_shift(at))  # type: ignore[misc]
        arrivals = self.arrivals()
        self.next_arrival(arrivals)
        while self.happenings:
            self.now, _, do = heapq.heappop(self.happenings)
            do()
            if progress is not None and self.writer.sequence % 4096 < 8:
                progress(self.arrived, self.calls)
        if progress is not None:
            progress(self.arrived, self.calls)

    def arrivals(self) -> Iterator[int]:
        """When calls come."""
        for hour, count in enumerate(self.rates):
            yield from sorted(hour * 3_600_000 + self.dice.randrange(3_600_000) for _ in range(count))

    def next_arrival(self, arrivals: Iterator[int]) -> None:
        """Put the next one into the order of things."""
        at = next(arrivals, None)
        if at is not None:
            self.later(at - self.now, lambda: self.arrive(arrivals))

    def say(self, fact: facts.Fact) -> None:
        """Write down one of the few that need not be quick."""
        body = msgspec.json.encode(fact, order="sorted").decode()
        self.fact(type(fact).__name__, body, "made up on purpose")

    def fact(
        self,
        kind: str,
        body: str,
        reason: str,
        call_id: str | None = None,
        agent: str | None = None,
        personal: str | None = None,
    ) -> None:
        """Write it down now."""
        salt = f"{self.dice.getrandbits(128):032x}" if personal is not None else ""
        at = self.now
        self.writer.add(
            kind,
            MONOTONIC_NS + at * 1_000_000,
            self.start_us + at * 1000,
            body,
            reason,
            call_id,
            agent,
            personal,
            salt,
        )

    # --- agents

    def begin_shift(self, hour: int) -> None:
        """A new team signs in; whoever is of the old one leaves when free."""
        team = max(0, hour) // 8 % 6
        size = _staff(self.rates, max(0, hour), 8 if hour >= 0 else SHIFTS[0])
        self.leaving |= self.on_duty
        old, self.on_duty = self.on_duty, set()
        for number in range(size):
            agent = str(4000 + 1000 * team + number) if hour >= 0 else str(3000 + number)
            self.on_duty.add(agent)
            self.fact("PhoneChanged", f'{{"phone":"p{agent}","state":"idle"}}', "the switch said so")
            self.fact("AgentSignedIn", f'{{"agent":"{agent}","phone":"p{agent}"}}', "signed in", agent=agent)
            self.idle.append(agent)
        for agent in [each for each in self.idle if each in old]:
            self.idle.remove(agent)
            self.sign_out(agent)
        self.serve()

    def sign_out(self, agent: str) -> None:
        """The shift is over."""
        self.leaving.discard(agent)
        self.fact("AgentSignedOut", f'{{"agent":"{agent}"}}', "the shift is over", agent=agent)

    def free(self, agent: str) -> None:
        """The agent may take the next call, goes home, or takes a break."""
        if agent in self.leaving:
            self.sign_out(agent)
        elif self.dice.random() < 0.02:
            self.fact(
                "AgentBecameNotReady", f'{{"agent":"{agent}","reason":"break"}}', "dialled it", agent=agent
            )
            self.later(self.dice.uniform(600_000, 2_400_000), lambda: self.back(agent))
        else:
            self.idle.append(agent)
            self.serve()

    def back(self, agent: str) -> None:
        """From a break."""
        self.fact("AgentBecameReady", f'{{"agent":"{agent}"}}', "dialled it", agent=agent)
        self.free(agent)

    # --- arriving and giving up

    def arrive(self, arrivals: Iterator[int]) -> None:
        """A caller is there."""
        self.next_arrival(arrivals)
        self.arrived += 1
        dice, call_id = self.dice, f"s{self.arrived:07}"
        draw = dice.random()
        line, queue, tier = (
            ("999", "emergency", 0)
            if draw < 0.38
            else ("desk", "general", 1)
            if draw > 0.96
            else ("main", "general", 1)
        )
        withheld = tier == 1 and dice.random() < 0.05
        number = None if withheld else f"+440{int(NUMBERS * dice.random() ** 3):09}"
        if line == "desk":
            number = str(5000 + dice.randrange(900))
        language = "cy" if dice.random() < 0.01 else "en"
        personal = None if number is None else f'{{"caller_name":null,"caller_number":"{number}"}}'
        self.fact(
            "CallArrived",
            f'{{"adopted":false,"assisted":false,"call_id":"{call_id}","consultation_of":null,"language":"{language}",'
            f'"leg_id":"{call_id}","line":"{line}","number_withheld":{"true" if withheld else "false"},"test":false}}',
            f"a call on line {line}",
            call_id,
            personal=personal,
        )
        if tier == 1:
            self.fact(
                "CallAnswered",
                f'{{"by":"system","call_id":"{call_id}"}}',
                "the line answers on arrival",
                call_id,
            )
        call = _Call(call_id, self.now, tier, line, queue, number)
        self.fact(
            "CallQueued",
            f'{{"call_id":"{call_id}","priority_class":"standard","queue":"{queue}","queued_at":{self.instant(self.now)},'
            f'"tier":{tier}}}',
            "it takes its place",
            call_id,
        )
        (self.emergency if tier == 0 else self.routine).append(call)
        if tier == 1:
            self.greet(call)
        self.later(
            dice.expovariate(1 / (90_000 if tier == 0 else 420_000)) + 1500, lambda: self.give_up(call)
        )
        self.serve()

    def instant(self, at: int) -> str:
        """As JSON has it."""
        return f'{{"monotonic_ns":{MONOTONIC_NS + at * 1_000_000},"utc_us":{self.start_us + at * 1000}}}'

    def greet(self, call: _Call) -> None:
        """A greeting, an expectation, and after three minutes an offer of a call-back."""
        waiting = sum(1 for _ in zip(self.routine, range(200), strict=False))
        expected = 1000 * waiting * 430 / max(1, len(self.on_duty))
        self.fact(
            "WaitPredicted",
            f'{{"agents":{len(self.on_duty)},"call_id":"{call.call_id}","high_seconds":{round(expected * 1.4 / 1000, 1)},'
            f'"low_seconds":{round(expected * 0.7 / 1000, 1)},"measured":true,"position":{waiting}}}',
            "so many are before it",
            call.call_id,
        )
        self.fact(
            "AnnouncementStarted",
            f'{{"call_id":"{call.call_id}","prompt":"greeting-101"}}',
            "the line's greeting",
            call.call_id,
        )
        call.greeting = True
        self.later(6500, lambda: self.greeted(call))
        self.later(180_000, lambda: self.offer_callback(call))

    def greeted(self, call: _Call, completed: bool = True) -> None:
        """The greeting has ended, or was cut short."""
        if not call.greeting:
            return
        call.greeting = False
        heard = '"completed":true,"cut":false' if completed else '"completed":false,"cut":true'
        body = f'{{"call_id":"{call.call_id}",{heard},"prompt":"greeting-101"}}'
        self.fact("AnnouncementEnded", body, "it was over", call.call_id)

    def give_up(self, call: _Call) -> None:
        """The caller hangs up, if nobody has answered."""
        if not call.waiting or call.promised or call.connected >= 0:
            return
        call.waiting = False
        self.greeted(call, completed=False)
        ringing, call.offered_to = call.offered_to, None
        if ringing is not None:
            self.offer_fact(
                "OfferWithdrawn", call, ringing, "the caller is gone", "", ',"outcome":"withdrawn"'
            )
        waited = self.now - call.joined
        if call.tier == 0 or waited >= 60_000:
            self.open_task(call, "abandoned_999" if call.tier == 0 else "abandoned_101", "hung up")
        self.end(call, "abandoned", "ringing" if ringing else "queue", "caller", waited, 0, None)
        if ringing is not None:
            self.offer_ended(call, ringing, "withdrawn")
            self.free(ringing)

    def offer_fact(
        self, kind: str, call: _Call, agent: str, reason: str, cause: str = "", more: str = ""
    ) -> None:
        """A fact of the call's newest offer; `cause` and `more` are fields before and after the offer's id."""
        body = f'{{"agent":"{agent}","call_id":"{call.call_id}"{cause},"offer_id":"{call.call_id}.{call.offers}"{more}}}'
        self.fact(kind, body, reason, call.call_id, agent)

    def offer_ended(self, call: _Call, agent: str, outcome: str) -> None:
        """The agent's leg is gone."""
        self.offer_fact(
            "OfferEnded", call, agent, "the leg is gone", ',"cause":"16"', f',"outcome":"{outcome}"'
        )

    def end(
        self, call: _Call, outcome: str, stage: str, side: str, waited: int, talked: int, agent: str | None
    ) -> None:
        """The call's one end."""
        call.waiting = False
        who = "null" if agent is None else f'"{agent}"'
        self.fact(
            "CallEnded",
            f'{{"agent":{who},"call_id":"{call.call_id}","cause":"16","outcome":"{outcome}","side":"{side}",'
            f'"stage":"{stage}","talked_seconds":{talked / 1000},"unseen_since":null,"waited_seconds":{waited / 1000}}}',
            f"the {side} ended it",
            call.call_id,
            agent,
        )

    # --- serving

    def serve(self) -> None:
        """The next in the one order to whoever has been idle longest."""
        while self.idle and (call := self.next_call()) is not None:
            self.offer(call, self.idle.popleft())

    def next_call(self) -> _Call | None:
        """999 first; who is gone is passed over."""
        for queue in (self.emergency, self.routine):
            while queue:
                call = queue.popleft()
                if call.waiting:
                    return call
        return None

    def offer(self, call: _Call, agent: str) -> None:
        """The agent's phone is to ring."""
        call.offers += 1
        call.offered_to = agent
        number, waited = call.offers, (self.now - call.joined) / 1000
        body = f',"phone":"p{agent}","ring_seconds":15.0,"waited_seconds":{waited}'
        self.offer_fact("OfferMade", call, agent, "idle longest of those who may take it", "", body)
        self.later(80, lambda: self.if_offered(call, agent, number, self.rang))
        if self.dice.random() < 0.03:
            self.later(15_000, lambda: self.if_offered(call, agent, number, self.missed))
        else:
            slowest = 2500 if call.tier == 0 else 5000
            self.later(
                80 + self.dice.uniform(600, slowest),
                lambda: self.if_offered(call, agent, number, self.answered),
            )

    def if_offered(self, call: _Call, agent: str, number: int, do: Callable[[_Call, str], None]) -> None:
        """Unless it has come otherwise meanwhile."""
        if call.waiting and call.offered_to == agent and call.offers == number:
            do(call, agent)

    def rang(self, call: _Call, agent: str) -> None:
        """The agent's phone rings."""
        self.fact("PhoneChanged", f'{{"phone":"p{agent}","state":"ringing"}}', "the switch said so")
        self.offer_fact("OfferRang", call, agent, "the phone rings")

    def missed(self, call: _Call, agent: str) -> None:
        """Nobody picked it up: the caller keeps the place."""
        call.offered_to = None
        self.offer_ended(call, agent, "missed")
        (self.emergency if call.tier == 0 else self.routine).appendleft(call)
        self.later(5000, lambda: self.free(agent))
        self.serve()

    def answered(self, call: _Call, agent: str) -> None:
        """The agent has the call, or waits while the person of a call-back is rung."""
        self.greeted(call, completed=False)
        self.offer_fact("OfferAnswered", call, agent, "picked up")
        if call.promised:
            self.dial(call, agent)
            return
        if call.tier == 0:
            self.fact(
                "CallAnswered",
                f'{{"by":"agent","call_id":"{call.call_id}"}}',
                "a person answered",
                call.call_id,
            )
        self.connected(call, agent)

    def connected(self, call: _Call, agent: str) -> None:
        """They hear each other."""
        call.waiting, call.connected, call.offered_to = False, self.now, None
        waited = (self.now - call.joined) / 1000
        self.offer_fact("CallConnected", call, agent, "joined", "", f',"waited_seconds":{waited}')
        self.fact("PhoneChanged", f'{{"phone":"p{agent}","state":"busy"}}', "the switch said so")
        self.note(call, "recording", f"r{call.call_id}", "started", "recorder")
        median, spread = TALK_999 if call.tier == 0 else TALK_101
        length = int(median * math.exp(self.dice.gauss(-spread * spread / 2, spread))) + 2000
        if self.dice.random() < 0.15:
            self.later(0.4 * length, lambda: self.hold(call, agent, "CallHeld"))
            self.later(0.6 * length, lambda: self.hold(call, agent, "CallResumed"))
        self.later(length, lambda: self.over(call, agent))

    def hold(self, call: _Call, agent: str, kind: str) -> None:
        """On hold, or off again."""
        self.fact(
            kind, f'{{"agent":"{agent}","call_id":"{call.call_id}"}}', "the agent's key", call.call_id, agent
        )

    def note(self, call: _Call, kind: str, value: str, state: str, by: str) -> None:
        """Attach something."""
        self.fact(
            "CallAnnotated",
            f'{{"by":"{by}","call_id":"{call.call_id}","kind":"{kind}","state":"{state}","value":"{value}"}}',
            "noted",
            call.call_id,
        )

    def over(self, call: _Call, agent: str) -> None:
        """The talk ends, and the work on it goes on."""
        seconds = 60.0 if call.tier == 0 else 45.0
        self.offer_ended(call, agent, "answered")
        emergency = "true" if call.tier == 0 else "false"
        self.fact(
            "WrapUpStarted",
            f'{{"agent":"{agent}","call_id":"{call.call_id}","emergency":{emergency},"seconds":{seconds}}}',
            "the conversation is over",
            call.call_id,
            agent,
        )
        self.end(
            call,
            "answered",
            "talking",
            "caller",
            call.connected - call.joined,
            self.now - call.connected,
            agent,
        )
        self.note(call, "recording", f"r{call.call_id}", "stopped", "recorder")
        self.fact("PhoneChanged", f'{{"phone":"p{agent}","state":"idle"}}', "the switch said so")
        length = self.dice.uniform(0.3, 1.0) * seconds * 1000
        self.later(0.5 * length, lambda: self.code(call, agent))
        self.later(length, lambda: self.wrapped_up(agent))

    def code(self, call: _Call, agent: str) -> None:
        """What it was about."""
        codes = ("crime", "concern", "traffic", "advice", "chasing", "other-agency")
        code = codes[min(len(codes) - 1, int(self.dice.expovariate(0.55)))]
        body = f'{{"agent":"{agent}","call_id":"{call.call_id}","code":"{code}"}}'
        self.fact("WrapUpCoded", body, "dialled it", call.call_id, agent)
        if self.dice.random() < 0.45:
            self.note(call, "incident", f"SYN-{call.call_id[1:]}", "", agent)

    def wrapped_up(self, agent: str) -> None:
        """The agent is free."""
        self.fact("WrapUpEnded", f'{{"agent":"{agent}"}}', "its time is over", agent=agent)
        self.free(agent)

    # --- call-backs

    def offer_callback(self, call: _Call) -> None:
        """A caller who has waited long may be rung back instead; about every fourth takes that."""
        if not call.waiting or call.offered_to is not None or call.number is None or call.line == "desk":
            return
        here = f'{{"call_id":"{call.call_id}"}}'
        self.fact("CallbackOffered", here, "the expected wait is long", call.call_id)
        if self.dice.random() > 0.28:
            return
        call.promised = True
        self.routine.remove(call)
        self.greet_again(call)
        for asked in ("number", "safe"):
            body = f'{{"again":false,"asked":"{asked}","call_id":"{call.call_id}"}}'
            self.fact("CallbackAsked", body, "the caller accepted", call.call_id)
        self.fact(
            "CallbackPromised",
            f'{{"call_id":"{call.call_id}","into":null,"keyed":false}}',
            "at its place",
            call.call_id,
            personal=f'{{"number":"{call.number}"}}',
        )
        self.fact("CallbackConfirmed", here, "it is on disk", call.call_id)
        self.later(8000, lambda: self.off_the_line(call))

    def greet_again(self, call: _Call) -> None:
        """What is quoted with the promise."""
        low = round(60 + (self.now - call.joined) / 1500, 1)
        self.fact(
            "WaitPredicted",
            f'{{"agents":{len(self.on_duty)},"call_id":"{call.call_id}","high_seconds":{round(low * 2.5, 1)},'
            f'"low_seconds":{low},"measured":true,"position":{len(self.routine) + 1}}}',
            "quoted with the promise",
            call.call_id,
        )

    def off_the_line(self, call: _Call) -> None:
        """The caller hangs up, and the call waits at its place."""
        body = f'{{"call_id":"{call.call_id}","cause":"16","side":"caller"}}'
        self.fact("CallbackWaits", body, "the caller hung up after the promise", call.call_id)
        self.rejoin(call)

    def rejoin(self, call: _Call) -> None:
        """At its place."""
        at = next(
            (index for index, other in enumerate(self.routine) if other.joined > call.joined),
            len(self.routine),
        )
        self.routine.insert(at, call)
        self.serve()

    def dial(self, call: _Call, agent: str) -> None:
        """The agent is on the line; the person's phone is rung."""
        call.attempts += 1
        attempt = f'"attempt":{call.attempts},"call_id":"{call.call_id}"'
        self.fact(
            "CallbackAttempted",
            f'{{"agent":"{agent}",{attempt},"offer_id":"{call.call_id}.{call.offers}","ring_seconds":25.0,"unrung_seconds":12.0}}',
            "an agent is on the line",
            call.call_id,
            agent,
        )
        self.fact("CallbackDialled", f"{{{attempt}}}", "asked of the switch", call.call_id)
        self.later(2000, lambda: self.fact("CallbackRang", f"{{{attempt}}}", "it rings", call.call_id))
        if self.dice.random() < 0.78:
            self.later(self.dice.uniform(4000, 15_000), lambda: self.reached(call, agent))
        else:
            self.later(25_000, lambda: self.not_reached(call, agent))

    def reached(self, call: _Call, agent: str) -> None:
        """The person answers."""
        body = f'{{"attempt":{call.attempts},"call_id":"{call.call_id}","leg_id":"{call.call_id}.p{call.attempts}"}}'
        self.fact("CallbackAnswered", body, "the person answered", call.call_id)
        self.connected(call, agent)

    def not_reached(self, call: _Call, agent: str) -> None:
        """Nobody answers: another attempt at the same place, or a task for a human."""
        call.offered_to = None
        self.fact(
            "CallbackAttemptEnded",
            f'{{"attempt":{call.attempts},"call_id":"{call.call_id}","cause":"20","counted":true,'
            f'"not_before":{self.instant(self.now + 120_000)},"outcome":"no_answer","queued_at":null}}',
            "it rang out",
            call.call_id,
        )
        self.offer_ended(call, agent, "answered")
        if call.attempts < 3:
            self.later(120_000, lambda: self.rejoin(call))
        else:
            self.open_task(call, "unreached_callback", "the attempts are used up")
            self.end(call, "unreached", "callback", "system", self.now - call.joined, 0, None)
        self.free(agent)

    # --- tasks

    def open_task(self, call: _Call, kind: str, detail: str) -> None:
        """Work for a human, who closes it in some minutes."""
        self.tasks += 1
        task_id, waited = f"t{self.tasks:07}", (self.now - call.joined) / 1000
        emergency, withheld = ("true" if each else "false" for each in (call.tier == 0, call.number is None))
        self.fact(
            "TaskOpened",
            f'{{"attempts":{call.attempts},"call_id":"{call.call_id}","calls_in_day":0,"detail":"{detail}",'
            f'"emergency":{emergency},"head_start_seconds":0.0,"kind":"{kind}","number_withheld":{withheld},'
            f'"queue":"{call.queue}","queued_at":{self.instant(call.joined)},"rang_seconds":0.0,"task_id":"{task_id}",'
            f'"waited_seconds":{waited}}}',
            "a person has to look",
            call.call_id,
            personal=None if call.number is None else f'{{"number":"{call.number}"}}',
        )
        by = "4900"
        self.later(self.dice.uniform(20_000, 120_000), lambda: self.assign(task_id, by))
        self.later(self.dice.uniform(130_000, 1_200_000), lambda: self.close_task(task_id, by))

    def assign(self, task_id: str, by: str) -> None:
        """To a supervisor."""
        self.fact("TaskAssigned", f'{{"by":"{by}","task_id":"{task_id}","to":"{by}"}}', "taken")

    def close_task(self, task_id: str, by: str) -> None:
        """By that supervisor."""
        outcome = "reached" if self.dice.random() < 0.6 else "not_reached"
        body = f'{{"by":"{by}","note":"","outcome":"{outcome}","task_id":"{task_id}"}}'
        self.fact("TaskClosed", body, "dealt with")


def _rates(start: datetime, calls: int, days: int, dice: Random) -> list[int]:
    """Calls of each hour: by the curve, by chance, and together exactly so many."""
    weights = []
    for hour in range(24 * days):
        local = (start + timedelta(hours=hour)).astimezone(ZONE)
        weights.append(HOURS[local.hour] * WEEKDAYS[local.weekday()])
    expected = [calls * weight / sum(weights) for weight in weights]
    counts = [max(0, round(dice.gauss(mean, math.sqrt(mean)))) for mean in expected]
    while (missing := calls - sum(counts)) != 0:
        hour = dice.choices(range(len(counts)), weights=weights)[0]
        counts[hour] = max(0, counts[hour] + (1 if missing > 0 else -1))
    return counts


def _shifts(start: datetime, days: int) -> list[tuple[int, int]]:
    """Hours after the start at which a shift begins by local time."""
    return [
        (hour, hour)
        for hour in range(1, 24 * days)
        if (start + timedelta(hours=hour)).astimezone(ZONE).hour in SHIFTS
    ]


def _staff(rates: list[int], hour: int, length: int) -> int:
    """So many agents as the shift's mean load needs, and a few: its busy hours make queues."""
    some = rates[hour : hour + length] or [0]
    busy_seconds = 0.38 * (240 + 39) + 0.62 * (380 + 30) + 4
    return math.ceil(sum(some) / len(some) * busy_seconds / 3600 * 1.06) + 2
