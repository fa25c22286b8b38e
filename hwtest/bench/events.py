"""How many of the switch's events a second the daemon digests: read, folded, decided and recorded, none later than 100 ms.

A process of its own has the daemon's loop, engine, recorder and a ledger on disk, and in place of the two sockets a played
switch: each call is played as Asterisk 22 tells it, in AMI's frames and ARI's JSON, from arrival to both hang-ups (15 events),
and the phones do at once what the engine asks of them. Calls begin on a schedule whatever becomes of those before; the rate rises
until an event waits too long. The player takes its time from the same loop. What there is not: TCP, HTTP, requests to the switch.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from edge import logs
from edge.clock import SystemClock
from edge.core.effects import ConnectPair, Effect, MakeOffer
from edge.core.inputs import AgentSeen, CallerGone, Input, PhoneSeen, Reconciled
from edge.core.model import Agent, Answer, Line, Phone, PhoneState, Policy, PriorityClass, Queue, Tier
from edge.daemon import prepare_process
from edge.ledger.executor import ThreadCommitExecutor
from edge.ledger.store import open_ledger
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.sightings import DeviceSeen, Sighting
from edge.runtime import Runtime
from edge.telemetry import Counters
from hwtest.bench.machine import LoadMeter
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Rig, RigError
from hwtest.statistics import summarise

RATE, LAG = "events digested", "lag of an event, at that rate"
LEAST_PER_SECOND = 10_000
TARGET = f">= {LEAST_PER_SECOND} events/s"
MOST_LAG_MS = 100.0
AGENTS = 200
ARI, AMI, LINE = "ari", "ami", "101"
CALLS_PER_SECOND = (25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 1000, 1200)
SETTLE_SECONDS = 5.0
LIMIT_SECONDS = 120.0
"""For all rates together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seconds`: of each rate; `least`: what is asked for."""

    seconds: float = 5.0
    least: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One rate. `lags`: of every event, in milliseconds; `ended`: calls whose two hang-ups were digested."""

    calls: int
    ended: int
    seconds: float
    lags: Sequence[float]

    @property
    def events_per_second(self) -> float:
        """Digested."""
        return len(self.lags) / self.seconds

    @property
    def holds(self) -> bool:
        """Whether every call was told to its end and no event was late."""
        return bool(self.lags) and self.ended == self.calls and max(self.lags) <= MOST_LAG_MS


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The highest rate that holds. RigError when the process fails."""
    meter = LoadMeter()
    with tempfile.TemporaryDirectory(prefix="bench-events-", dir=rig.lab.directory) as folder:
        command = (sys.executable, "-m", __name__, folder, str(plan.seconds))
        try:
            made = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise RigError(f"the daemon's loop did not end within {LIMIT_SECONDS:.0f} s") from None
    if made.returncode:
        raise RigError(f"the daemon's loop ended with {made.returncode}: {made.stderr.strip()[-300:]}")
    stages = [Stage(**stage) for stage in json.loads(made.stdout)]
    load = meter.read()
    best = best_of(stages)
    block = Block(
        figure=LAG,
        system=OURS,
        samples=list(best.lags) if best else [],
        seconds=load.seconds,
        load_average=load.load_average,
        steal_share=load.steal_share,
        busy_share=load.busy_share,
        retransmissions=0,
        dropped=None,
    )
    return Outcome(figures(stages, plan), [block])


def best_of(stages: Sequence[Stage]) -> Stage | None:
    """The last that holds before the first that does not."""
    best = None
    for stage in stages:
        if not stage.holds:
            break
        best = stage
    return best


def figures(stages: Sequence[Stage], plan: Plan) -> list[Figure]:
    """The two rows. No rate that holds is a target that is missed."""
    best = best_of(stages)
    if not stages:
        return not_measured("no rate was tried")
    rate = 0 if best is None else round(best.events_per_second)
    tried = "; ".join(
        f"{stage.calls / stage.seconds:.0f} calls/s: {stage.events_per_second:.0f} events/s, latest "
        f"{max(stage.lags, default=0):.0f} ms, {stage.ended} of {stage.calls} calls ended"
        for stage in stages
    )
    return [
        Figure(
            name=RATE,
            system=OURS,
            unit="events/s",
            value=rate,
            target=TARGET,
            met=rate >= LEAST_PER_SECOND,
            small=plan.seconds < plan.least,
            notes=[f"no event later than {MOST_LAG_MS:.0f} ms, {AGENTS} agents, facts on disk; {tried}"],
        ),
        Figure(name=LAG, system=OURS, summary=summarise(best.lags) if best else None),
    ]


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(RATE, TARGET, why)]


# The process


@dataclass(frozen=True, slots=True)
class Told:
    """What one of the two links says, and when."""

    link: str
    content: bytes
    at: float


class Counting(Counters):
    """Tells of each input that the engine has decided about."""

    def __init__(self, decided: Callable[[object], None]) -> None:
        super().__init__()
        self._decided = decided

    def stepped(self, given: object, made: Iterable[object], seconds: float) -> None:
        """One more."""
        super().stepped(given, made, seconds)
        self._decided(given)


class PlayedSwitch:
    """A switch whose phones answer at once, and whose agents hang up as soon as they are connected."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._book = Book(policy)
        self._framer = wire.Framer()
        self._links: asyncio.Queue[Told] = asyncio.Queue()
        self._undecided: dict[int, float] = {}
        """When the event came that made an input, by the input that waits for the engine."""
        self._devices: dict[str, str] = {}
        self.lags: list[float] = []
        """Of every event that was digested, in milliseconds."""
        self.ended = 0
        self._told = 0
        self._wanted = 0
        self.over = asyncio.Event()
        """So many calls as are wanted have ended, and all that was told of them is digested."""
        self.ready = asyncio.Event()

    def expect(self, calls: int) -> None:
        """A new stage begins."""
        self.lags, self.ended, self._told, self._wanted = [], 0, 0, calls
        self.over.clear()

    def pulse(self) -> None:
        """Nobody's dead-man is there."""

    async def run(self, post: Callable[[Input], None]) -> None:
        """Every phone is there; then whatever the links say."""
        for phone in self._policy.phones.values():
            self._book.see(
                DeviceSeen(interface=identity.interface(phone), state=PhoneState.IDLE, switch_utc_us=None)
            )
        agents = tuple(
            AgentSeen(agent=each.number, phone=each.phone) for each in self._policy.agents.values()
        )
        phones = tuple(PhoneSeen(phone=name, state=PhoneState.IDLE) for name in self._policy.phones)
        post(Reconciled(agents=agents, phones=phones))
        self.ready.set()
        while True:
            self._hear(post, await self._links.get())

    def decided(self, given: object) -> None:
        """The engine has decided about an input."""
        at = self._undecided.pop(id(given), None)
        if at is not None:
            self._digested(at)

    def _digested(self, at: float) -> None:
        self.lags.append((time.perf_counter() - at) * 1000)
        if self.ended >= self._wanted and len(self.lags) >= self._told:
            self.over.set()

    def _hear(self, post: Callable[[Input], None], told: Told) -> None:
        sighting = self._read(told)
        made = [] if sighting is None else self._book.see(sighting)
        if made:
            self._undecided[id(made[-1])] = told.at  # the event is digested when the last of its inputs is
        else:
            self._digested(told.at)
        for given in made:
            self.ended += isinstance(given, CallerGone)
            post(given)

    def _read(self, told: Told) -> Sighting | None:
        if told.link == ARI:
            event = ari.decoded(told.content)
            return None if ari.asks_who_takes(event) is not None else ari.sighting(event)
        (frame,) = self._framer.feed(told.content)
        message = wire.parse(frame)
        return None if message is None else ami.sighting(message)

    # What it tells

    def arrive(self, number: int) -> None:
        """Somebody calls."""
        call_id = f"20261126T000000Z-{number}"
        joined = str(time.time_ns() // 1_000_000)
        leg = {"id": _caller_leg(call_id), "name": f"PJSIP/trunk-{number:08x}", "state": "Up"}
        channel = {**leg, "caller": {"name": "A Caller", "number": "07700900123"}, **_CHANNEL}
        self._say_ari("CallBroadcast", channel=channel)
        arguments = ["arrived", call_id, LINE, joined, "allowed_not_screened"]
        self._say_ari("StasisStart", args=arguments, channel=channel)

    def perform(self, effect: Effect, cause: int) -> None:  # noqa: ARG002 - the port has it
        """The phones do at once what they are asked."""
        match effect:
            case MakeOffer():
                self._answer(effect)
            case ConnectPair():
                self._talk_and_hang_up(effect.call_id, effect.offer_id)

    def _answer(self, offer: MakeOffer) -> None:
        device = identity.interface(self._policy.phones[offer.phone])
        self._book.offer_made(offer.offer_id, device)
        self._devices[offer.offer_id] = device
        name = f"{device}-{offer.offer_id.rpartition('-')[2]}"
        leg = {"id": identity.leg_of_offer(offer.offer_id), "name": name, **_CHANNEL}
        self._say_device(device, "RINGING")
        self._say_ari("ChannelStateChange", channel={**leg, "state": "Ringing"})
        self._say_ari("ChannelStateChange", channel={**leg, "state": "Up"})
        self._say_ari("StasisStart", args=["offer", offer.offer_id], channel={**leg, "state": "Up"})
        self._say_device(device, "INUSE")

    def _talk_and_hang_up(self, call_id: str, offer_id: str) -> None:
        if self._book.hand_over(call_id, offer_id) is None:
            return
        bridge = _lines(
            {
                "BridgeUniqueid": f"bridge-{call_id}",
                "BridgeType": "basic",
                "BridgeTechnology": "simple_bridge",
            }
        )
        agent, caller = identity.leg_of_offer(offer_id), _caller_leg(call_id)
        self._say_ami("BridgeEnter", agent, bridge)
        self._say_ami("BridgeEnter", caller, bridge)
        self._say_ami("HangupRequest", agent, "Cause: 16\r\n")
        self._say_ami("BridgeLeave", agent, bridge)
        self._say_ami("Hangup", agent, _CAUSE)
        self._say_ami("BridgeLeave", caller, bridge)
        self._say_ami("Hangup", caller, _CAUSE)
        self._say_device(self._devices.pop(offer_id), "NOT_INUSE")

    def _say_ari(self, kind: str, **fields: object) -> None:
        event = {
            "type": kind,
            "timestamp": _now(),
            **fields,
            "asterisk_id": "00:00:5e:00:53:01",
            "application": "edge101",
        }
        self._tell(ARI, msgspec.json.encode(event))

    def _say_ami(self, kind: str, leg_id: str, headers: str) -> None:
        """As Asterisk writes it, put together from lines that are there: what the player takes, the daemon has not."""
        stamp = f"Timestamp: {time.time():.6f}\r\n"
        self._say(f"Event: {kind}\r\n{_HEADERS}{stamp}{headers}{_LEG}Uniqueid: {leg_id}\r\n\r\n")

    def _say_device(self, device: str, state: str) -> None:
        stamp = f"Timestamp: {time.time():.6f}\r\nSystemName: lab\r\n"
        self._say(
            f"Event: DeviceStateChange\r\nPrivilege: call,all\r\n{stamp}Device: {device}\r\nState: {state}\r\n\r\n"
        )

    def _say(self, frame: str) -> None:
        self._tell(AMI, frame.encode())

    def _tell(self, link: str, content: bytes) -> None:
        self._told += 1
        self._links.put_nowait(Told(link, content, time.perf_counter()))


def _caller_leg(call_id: str) -> str:
    return f"lab-{call_id}"


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


_CHANNEL = {
    "protocol_id": "7900d0f462b95569882a6ad4",
    "connected": {"name": "", "number": ""},
    "accountcode": "",
    "dialplan": {
        "context": "edge-line-101",
        "exten": "arrive",
        "priority": 5,
        "app_name": "Stasis",
        "app_data": "",
    },
    "creationtime": "2026-11-26T00:00:00.000+0000",
    "language": "en",
}
_HEADERS = _lines({"Privilege": "call,all", "SystemName": "lab"})
_CAUSE = _lines({"Cause": "16", "Cause-txt": "Normal Clearing"})
_LEG = _lines(
    {
        "Channel": "PJSIP/trunk-00000001",
        "ChannelState": "6",
        "ChannelStateDesc": "Up",
        "CallerIDNum": "07700900123",
        "CallerIDName": "A Caller",
        "ConnectedLineNum": "<unknown>",
        "ConnectedLineName": "<unknown>",
        "Language": "en",
        "AccountCode": "",
        "Context": "edge-connect",
        "Exten": "connect",
        "Priority": "2",
        "Linkedid": "lab-1795358004.1",
    }
)


def room() -> Policy:
    """One line, one queue without wrap-up, and as many agents as never all talk."""
    line = Line(
        name=LINE,
        number="101",
        queue=LINE,
        tier=Tier.ROUTINE,
        priority_class="standard",
        answer=Answer.ON_ARRIVAL,
    )
    numbers = [str(4001 + place) for place in range(AGENTS)]
    return Policy(
        lines={LINE: line},
        queues={LINE: Queue(name=LINE, skills=(LINE,), wrap_up_seconds=0.0)},
        classes={"standard": PriorityClass(name="standard")},
        agents={
            each: Agent(number=each, name=each, skills={LINE: 1}, phone=f"agent{each}") for each in numbers
        },
        phones={f"agent{each}": Phone(name=f"agent{each}") for each in numbers},
        digest="bench",
    )


async def rise(folder: Path, seconds: float, rates: Sequence[int] = CALLS_PER_SECOND) -> list[Stage]:
    """Rate after rate, until one does not hold."""
    policy = room()
    switch = PlayedSwitch(policy)
    stages = list[Stage]()
    with closing(open_ledger(f"sqlite:///{folder}/ledger.sqlite")) as ledger:
        executor = ThreadCommitExecutor(ledger)
        runtime = Runtime(policy, switch, ledger, executor, SystemClock(), counters=Counting(switch.decided))
        loop = asyncio.create_task(runtime.run())
        await switch.ready.wait()
        for rate in rates:
            stages.append(await _stage(switch, rate, seconds, loop))
            if not stages[-1].holds:
                break
        runtime.stop("the benchmark is over")
        await loop
        executor.close()
    return stages


async def _stage(switch: PlayedSwitch, rate: int, seconds: float, loop: asyncio.Task[None]) -> Stage:
    """Calls at this rate, on a schedule; then until all have ended, or it is clear that some will not."""
    calls, begun = round(rate * seconds), time.perf_counter()
    switch.expect(calls)
    for number in range(calls):
        pause = begun + number / rate - time.perf_counter()
        if pause > 0 or not number % 16:  # behind its schedule it must let the loop go round, too
            await asyncio.sleep(max(0.0, pause))
        if loop.done():
            break
        switch.arrive(next(_CALLS))
    over = asyncio.create_task(switch.over.wait())
    await asyncio.wait({over, loop}, timeout=SETTLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    over.cancel()
    taken = time.perf_counter() - begun
    return Stage(calls=calls, ended=switch.ended, seconds=taken, lags=[round(lag, 3) for lag in switch.lags])


_CALLS = count(1)


def main() -> None:
    """Folder for the ledger and seconds of each rate by argument; stages as JSON to standard output."""
    logs.configure("INFO", "json")
    prepare_process()
    stages = asyncio.run(rise(Path(sys.argv[1]), float(sys.argv[2])))
    json.dump([asdict(stage) for stage in stages], sys.stdout)


if __name__ == "__main__":
    main()
