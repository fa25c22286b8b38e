"""How soon agents' phones ring again after kill -9 of the daemon with a full queue: from the signal to the INVITE.

The daemon runs under the supervisor of the unit, with another in reserve and without. All agents talk and callers
wait; the daemon is killed, and in the same instant one agent hangs up. Whom the next daemon rings that agent's phone for must be
who has waited longest, and nobody may be dropped. Then the talk goes on, somebody new joins for whom was served, and the daemon
is killed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.core.facts import DaemonStarted, Entry, OfferMade, SwitchRestored
from edge.ledger.store import SqlReader, open_reader
from edge.liveness import daemon_pid, reserve_pids
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import services
from hwtest.bench.results import Block, Figure, Outcome, cap_all, count_errors, describe, unmeasured
from hwtest.bench.rig import ANSWER_SECONDS, OURS, Rig, RigError, Stretch, number_of
from hwtest.lab import daemon, processes
from hwtest.lab.processes import ProcessIdentity
from hwtest.statistics import percentile
from hwtest.useragent.call import IncomingCall

MOST_MS = 2_000.0
LEAST = 10
"""Deaths of each population that a figure is published on."""
RING_SECONDS = 0.015
SETTLE_SECONDS = 1.0
"""From a daemon that serves to the next death: it has told the switch everything, and has heard from it."""
_LINE = "101_no_greeting"
_PATIENCE_SECONDS = 40.0
_POLL_SECONDS = 0.02
STAGES = ("started", "switch seen", "decided", "on the wire")


@dataclass(frozen=True, slots=True)
class Room:
    """So many callers wait, and a daemon in reserve or none."""

    waiting: int
    reserve: bool = True

    @property
    def name(self) -> str:
        """What its rows begin with."""
        return f"kill -9, {self.waiting} waiting" + ("" if self.reserve else ", no reserve")

    @property
    def row(self) -> str:
        """The row of the times."""
        return f"{self.name}: -> agent INVITE"


ROOMS = (Room(20), Room(200), Room(200, reserve=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`deaths`: of the daemon, in each of the `rooms`."""

    deaths: int
    rooms: Sequence[Room] = ROOMS
    agents: int = 4


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Each room in turn."""
    outcome = Outcome()
    await rig.staff(plan.agents)
    reader = open_reader(rig.lab.ledger)
    try:
        for room in plan.rooms:
            try:
                async with supervised(rig, room.reserve):
                    await rig.serve_for(OURS)
                    deaths = await _Room(rig, plan, reader, room).measure()
            except RigError as error:
                outcome.figures.append(unmeasured(room.row, f"all <= {MOST_MS:g} ms", str(error)))
            else:
                outcome.blocks += [death.block for death in deaths]
                outcome.figures += figures(room, deaths)
    finally:
        reader.close()
    return outcome


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(room.row, f"all <= {MOST_MS:g} ms", why) for room in ROOMS if room.reserve]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death of the daemon. `stages`: when each was reached, in milliseconds from the signal. `fault`: who was dropped or
    passed over, "" for nobody."""

    block: Block
    stages: Sequence[float]
    fault: str


def figures(room: Room, deaths: Sequence[Death]) -> list[Figure]:
    """The rows of one room. Without a reserve the time has no target: it is the machine's for starting Python."""
    blocks = [death.block for death in deaths]
    figure = cap_all(room.row, OURS, blocks, MOST_MS) if room.reserve else describe(room.row, OURS, blocks)
    if figure.met is not None and len(deaths) < LEAST:
        figure = dataclasses.replace(figure, small=True)
    whole = [death.stages for death in deaths if len(death.stages) == len(STAGES)]
    if whole:
        reached = (percentile(column, 0.5) for column in zip(*whole, strict=True))
        words = ", ".join(f"{name} {at:.0f}" for name, at in zip(STAGES, reached, strict=True))
        figure.notes.append(f"p50 in ms from the signal: {words}")
    faults = [place for place, death in enumerate(deaths, 1) if death.fault]
    noun = "dropped or passed over"
    lost = count_errors(f"{room.name}: {noun}", OURS, faults, len(deaths), noun)
    lost.notes.extend(death.fault for death in deaths if death.fault)
    return [figure, lost]


def stages_of(entries: Sequence[Entry], killed_ns: int, rung_ns: int) -> list[float]:
    """When each stage was reached; fewer where the record does not have them all in this order."""
    at = list[int]()
    wanted = deque[type[DaemonStarted] | type[SwitchRestored] | type[OfferMade]](
        [DaemonStarted, SwitchRestored, OfferMade]
    )
    for entry in entries:
        if wanted and isinstance(entry.fact, wanted[0]) and entry.at.utc_us * 1000 >= killed_ns:
            at.append(entry.at.utc_us * 1000)
            wanted.popleft()
    return [(instant - killed_ns) / 1e6 for instant in (*at, rung_ns)]


@asynccontextmanager
async def supervised(rig: Rig, reserve: bool) -> AsyncIterator[None]:
    """The lab's daemon under the supervisor of its unit, with another in reserve or alone; the lab's own again in the end."""
    directory = Path(rig.lab.directory)
    if rig.lab.pids.supervisor is not None:
        raise RigError("the lab has a supervisor of its own: bring it up without --supervise")
    for running in processes.running(rig.lab.commands["edge"]):
        running.stop(10)
    before = daemon.last_sequence(rig.lab.ledger)
    command = daemon.supervisor_command(directory)
    if not reserve:
        command = (*command, *daemon.command(directory))
    supervisor = ProcessIdentity.of(processes.start(command, directory / "log/supervisor.log").pid)
    try:
        await _serves(rig, before)
        yield
    finally:
        supervisor.stop(10)
        processes.start(rig.lab.commands["edge"], directory / "log/edge.log")


async def _serves(rig: Rig, after: int) -> None:
    """Return when a daemon that started after this sequence sees the switch."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not daemon.serves(rig.lab.ledger, after):
        if time.monotonic() > until:
            raise RigError(f"the daemon did not serve within {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)


class _Room:
    """Agents who talk, and callers who wait."""

    def __init__(self, rig: Rig, plan: Plan, reader: SqlReader, room: Room) -> None:
        self._rig = rig
        self._plan = plan
        self._reader = reader
        self._room = room
        self._talks = deque[IncomingCall]()
        self._queue = deque[str]()
        """Numbers of those who wait, in the order of joining."""
        self._rung = asyncio.Event()

    async def measure(self) -> list[Death]:
        """Fill, kill so often, and leave nobody behind."""
        with self._rig.behaviour(self._serve):
            try:
                await self._join(self._room.waiting + self._plan.agents)
                await self._until(lambda: len(self._talks) == self._plan.agents, "all agents talk")
                deaths = list[Death]()
                for number in range(1, self._plan.deaths + 1):
                    deaths.append(await self._die())
                    self._rig.progress(
                        f"{self._room.row} {number}/{self._plan.deaths}: {_in_words(deaths[-1])}"
                    )
                return deaths
            finally:
                await self._rig.clear()

    async def _join(self, count: int) -> None:
        """So many more wait, behind the others."""
        for _ in range(count):
            call = self._rig.call(_LINE)
            self._queue.append(comparable(number_of(call)))
            await call.answered(ANSWER_SECONDS)

    async def _serve(self, call: IncomingCall) -> None:
        with contextlib.suppress(ValueError):
            self._queue.remove(comparable(call.caller_number))
        call.ring()
        self._rung.set()
        if await call.lasts(RING_SECONDS):
            call.answer()
            self._talks.append(call)

    async def _die(self) -> Death:
        last = self._reader.last_sequence()
        killed = await self._settled()
        first, people = self._queue[0], len(self._rig.callers.calls)
        free = self._talks.popleft()
        self._rung.clear()
        stretch = await Stretch.begin(self._rig)
        killed_ns = time.time_ns()
        killed.signal(signal.SIGKILL)
        await free.hang_up()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), _PATIENCE_SECONDS)
        measured = await stretch.end()
        rung = [
            (who, at) for who, at in services(measured.taken.records, self._rig.agent_ports) if at > killed_ns
        ]
        served, rung_ns = rung[0] if rung else ("", killed_ns + round(_PATIENCE_SECONDS * 1e9))
        block = measured.block(self._room.row, OURS, [(rung_ns - killed_ns) / 1e6])
        await self._until(lambda: len(self._talks) == self._plan.agents, "the agent talks")
        await _serves(self._rig, last)
        dropped = people - 1 - len(self._rig.callers.calls)
        stages = stages_of(entries_after(self._reader, last), killed_ns, rung_ns)
        await self._join(1)
        faults = [f"{dropped} dropped"] if dropped else []
        if served != first and block.invalid is None:  # the switch's own queue has callers of its own
            faults.append("another was served first")
        return Death(block=block, stages=stages, fault=", ".join(faults))

    async def _settled(self) -> ProcessIdentity:
        """The daemon that serves, when another is in reserve again, or is meant to be alone; and a moment later."""
        ledger = self._rig.lab.ledger

        def stands() -> bool:
            return daemon_pid(ledger) is not None and (not self._room.reserve or bool(reserve_pids(ledger)))

        await self._until(stands, "a daemon serves, and another is in reserve")
        await asyncio.sleep(SETTLE_SECONDS)
        pid = daemon_pid(ledger)
        if pid is None:
            raise RigError("the daemon has ended by itself")
        return ProcessIdentity.of(pid)

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > until:
                raise RigError(f"not within {_PATIENCE_SECONDS:.0f} s: {what}")
            await asyncio.sleep(_POLL_SECONDS)


def _in_words(death: Death) -> str:
    stages = " / ".join(f"{at:.0f}" for at in death.stages)
    invalid = f", not valid: {death.block.invalid}" if death.block.invalid else ""
    return f"{stages} ms, load {death.block.load_average:.1f}{invalid}" + (
        f", {death.fault}" if death.fault else ""
    )
