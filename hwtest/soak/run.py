"""A soak: calls come all the time, a fault every few seconds, and nothing may be lost or left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge.ledger.store import open_reader
from hwtest.bench.faults import DEAD_APPLICATION, ENDING, FAULTS, hurt_daemon
from hwtest.bench.ledger import entries_after
from hwtest.bench.machine import usage_of
from hwtest.bench.rig import OURS, Rig, number_of
from hwtest.lab import stack
from hwtest.lab.asterisk import AsteriskProcess
from hwtest.lab.hurt import Hurt
from hwtest.soak.account import NANOSECONDS, WireCall, balance, blind_intervals
from hwtest.useragent import CallState, IncomingCall, OutgoingCall

FAULT_EVERY_SECONDS = (3.0, 6.0)
"""From the mending of one fault to the next."""
HELD_SECONDS = (0.2, 2.5)
"""How long a fault that does not end by itself is held."""
PATIENCE_SECONDS = 25.0
IMPATIENT_SHARE, IMPATIENT_SECONDS = 0.05, (0.05, 3.0)
EMERGENCY_SHARE, GREETED_SHARE = 0.1, 0.1
TALK_SECONDS = (0.1, 1.5)
SAMPLE_SECONDS = 5.0
ENDING_SECONDS = 40.0
GRACE_SECONDS = 1.0
"""A call may come so long before the switch is lost: a dead application leaves it to the switch's own queue after 0.7 s, and by
then nobody may hear of it; and a daemon that was killed had not yet written what it had heard."""
MORE_DESCRIPTORS, MORE_THREADS, MORE_MB = 24, 4, 40.0
"""What one process may have more in the end than after its start: connections that are idle, caches that are bounded."""
MORE_OF_THE_SWITCH = 40
"""Threads that Asterisk may have more: its pools grow with the load to 50, and shrink when nothing comes for a minute."""
MORE_MB_OF_THE_SWITCH = 10.0
"""What Asterisk may have more in the end than halfway, when it has settled."""
SETTLING_CALLS = 700
"""With so many calls Asterisk's memory grows by 50 MB; what had fewer in its first half is judged by `MORE_MB`."""
Progress = Callable[[str], None]


class Sample(NamedTuple):
    """What one process held at one moment."""

    seconds: float
    pid: int
    descriptors: int
    threads: int
    rss_mb: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One soak. `faults`: by name, how often each was brought about; `wrong`: what must not be; empty: passed."""

    seconds: float
    calls: int
    faults: dict[str, int]
    became: dict[str, int]
    blind_seconds: float
    daemon_lives: int
    switch_samples: list[Sample]
    daemon_samples: list[Sample]
    wrong: list[str]
    interrupted: bool = False
    """Whether a person ended it before its time; the books are of what there was."""


def sample(pid: int, began: float) -> Sample | None:
    """The process now; None when it has ended."""
    proc = Path("/proc") / str(pid)
    with contextlib.suppress(OSError, KeyError, IndexError):
        descriptors, threads = (len(list((proc / what).iterdir())) for what in ("fd", "task"))
        return Sample(time.monotonic() - began, pid, descriptors, threads, usage_of(pid).rss_mb)
    return None


@dataclass(slots=True)
class _Caller:
    call: OutgoingCall
    emergency: bool
    impatient: bool
    gave_up: bool = False
    left: bool = False
    legs: list[IncomingCall] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Whether an agent's phone was, at any time."""
        return any(leg.reached is CallState.ANSWERED for leg in self.legs)


class Soak:
    """One soak in a lab of its own."""

    def __init__(self, rig: Rig, hurt: Hurt, seed: int, rate: float, progress: Progress) -> None:
        """`rate`: calls per second."""
        self._rig = rig
        self._hurt = hurt
        self._dice = random.Random(seed)
        self._rate = rate
        self._progress = progress
        self._callers: dict[str, _Caller] = {}
        self._visits: set[asyncio.Task[None]] = set()
        self._brought: Counter[str] = Counter()
        self._daemon: list[Sample] = []
        self._switch: list[Sample] = []
        self._began = time.monotonic()

    async def run(self, seconds: float, ending: asyncio.Event) -> Result:
        """Calls and faults for so long, or until a person is `ending` it; then everybody is served and the books are balanced."""
        first = self._reader_position()
        with self._rig.behaviour(self._serve):
            works = (self._arrivals(), self._faults(), self._watch(), _happens(ending))
            helpers = [asyncio.create_task(work) for work in works]
            try:
                done, _ = await asyncio.wait(helpers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                helpers[0].cancel()
                await self._mended(helpers[1])
            finally:
                for task in helpers:
                    task.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
            await self._everybody_home()
        return await self._result(first, interrupted=ending.is_set())

    # --- people ---

    async def _arrivals(self) -> None:
        following = time.monotonic()
        while True:
            self._arrive()
            following += self._dice.expovariate(self._rate)
            await asyncio.sleep(max(0.0, following - time.monotonic()))

    def _arrive(self) -> None:
        kind = self._dice.random()
        emergency = kind < EMERGENCY_SHARE
        line = "999" if emergency else "101" if kind < EMERGENCY_SHARE + GREETED_SHARE else "101_no_greeting"
        call = self._rig.call(line)
        impatient = not emergency and self._dice.random() < IMPATIENT_SHARE
        caller = self._callers[number_of(call)] = _Caller(call, emergency, impatient)
        patience = self._dice.uniform(*IMPATIENT_SECONDS) if impatient else PATIENCE_SECONDS
        task = asyncio.create_task(self._visit(caller, patience))
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def _visit(self, caller: _Caller, patience_seconds: float) -> None:
        """Wait, and hang up when no agent has answered in time; a talk is ended by the agent, and then so is the call."""
        if not await caller.call.lasts(patience_seconds):
            return
        if not caller.is_answered:
            caller.gave_up = caller.impatient
        elif await caller.call.lasts(PATIENCE_SECONDS):
            caller.left = True
        await caller.call.hang_up()

    async def _serve(self, call: IncomingCall) -> None:
        caller = self._callers.get(call.caller_number)
        if caller is not None:
            caller.legs.append(call)
        call.ring()
        if await call.lasts(self._dice.uniform(0.0, 0.3)):
            call.answer()
            if await call.lasts(self._dice.uniform(*TALK_SECONDS)):
                await call.hang_up()

    # --- faults ---

    async def _faults(self) -> None:
        names = list(FAULTS)
        while True:
            await asyncio.sleep(self._dice.uniform(*FAULT_EVERY_SECONDS))
            name = self._dice.choice(names)
            before = self._hurt.daemon
            with FAULTS[name](self._hurt):
                self._brought[name] += 1
                if name == DEAD_APPLICATION:
                    await self._hurt.deafen()
                await asyncio.sleep(self._dice.uniform(*HELD_SECONDS))
            if name in ENDING:
                await self._hurt.replaced(before)
            await self._hurt.serving()

    async def _mended(self, faults: asyncio.Task[None]) -> None:
        """The fault under way is taken back, and the daemon serves."""
        faults.cancel()
        await asyncio.gather(faults, return_exceptions=True)
        await self._hurt.serving()

    async def _watch(self) -> None:
        switch = self._rig.lab.pids.asterisk
        while True:
            await self._rig.wire.take()  # nobody reads it here, and it must not grow
            if (found := sample(switch, self._began)) is not None:
                self._switch.append(found)
            running = self._hurt.daemon
            if running is not None and (found := sample(running.pid, self._began)) is not None:
                self._daemon.append(found)
            if len(self._switch) % 6 == 1:
                self._progress(
                    f"{time.monotonic() - self._began:4.0f} s: {len(self._callers)} calls, {sum(self._brought.values())} faults"
                )
            await asyncio.sleep(SAMPLE_SECONDS)

    # --- the end ---

    def _reader_position(self) -> int:
        with contextlib.closing(open_reader(self._rig.lab.ledger)) as reader:
            return reader.last_sequence()

    async def _everybody_home(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await asyncio.gather(*self._visits, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await self._rig.agents_idle()
        await self._hurt.serving()

    async def _result(self, first: int, *, interrupted: bool) -> Result:
        """What it came to. The ledger may owe the last ends for a moment."""
        until = time.monotonic() + ENDING_SECONDS
        while True:
            with contextlib.closing(open_reader(self._rig.lab.ledger)) as reader:
                entries = entries_after(reader, first)
            blind = blind_intervals(entries, time.monotonic_ns())
            account = balance(self._wire(), entries, blind, round(GRACE_SECONDS * NANOSECONDS))
            if not account.faults or time.monotonic() > until:
                break
            await asyncio.sleep(1.0)
        self._switch += filter(
            None, [sample(self._rig.lab.pids.asterisk, self._began)]
        )  # when all are at home
        wrong = [
            *account.faults,
            *self._left_behind(),
            *grown_switch(self._switch, len(self._callers)),
            *grown_lives(self._daemon),
        ]
        return Result(
            seconds=time.monotonic() - self._began,
            calls=len(self._callers),
            faults=dict(self._brought),
            became=dict(account.became),
            blind_seconds=sum(end - start for start, end in blind) / NANOSECONDS,
            daemon_lives=len({each.pid for each in self._daemon}),
            switch_samples=self._switch,
            daemon_samples=self._daemon,
            wrong=wrong,
            interrupted=interrupted,
        )

    def _wire(self) -> list[WireCall]:
        return [
            WireCall(
                number=number,
                begun_ns=caller.call.trace[0].monotonic_ns,
                over_ns=caller.call.trace[-1].monotonic_ns,
                emergency=caller.emergency,
                answered=caller.is_answered,
                ended=caller.call.state is CallState.ENDED
                and all(leg.state is CallState.ENDED for leg in caller.legs),
                gave_up=caller.gave_up,
                left=caller.left,
            )
            for number, caller in self._callers.items()
        ]

    def _left_behind(self) -> list[str]:
        switch = AsteriskProcess.attach(Path(self._rig.lab.asterisk_directory))
        channels = stack.living_channels(switch.cli("core show channels concise"))
        bridges = [line for line in switch.cli("bridge show all").splitlines()[1:] if line.strip()]
        return [f"left behind: channel {line}" for line in channels] + [
            f"left behind: bridge {b}" for b in bridges
        ]


def settled(samples: list[Sample]) -> list[Sample]:
    """The second half: Asterisk's memory grows with the first thousand calls and then stays."""
    return samples[len(samples) // 2 :]


def grown(
    samples: list[Sample], name: str, more_threads: int = MORE_THREADS, more_mb: float = MORE_MB
) -> list[str]:
    """What one process has too much of in the end, compared with shortly after its start."""
    if len(samples) < 4:
        return []
    first, last = samples[2], samples[-1]
    found = (
        ("file descriptors", last.descriptors - first.descriptors, MORE_DESCRIPTORS),
        ("threads", last.threads - first.threads, more_threads),
        ("MB", last.rss_mb - first.rss_mb, more_mb),
    )
    return [f"{name}: {more:g} {what} more than at first" for what, more, most in found if more > most]


def grown_switch(samples: list[Sample], calls: int) -> list[str]:
    """The same of Asterisk, over the half in which its memory must stay; `calls`: how many there were in all."""
    more_mb = MORE_MB_OF_THE_SWITCH if calls >= 2 * SETTLING_CALLS else MORE_MB
    return grown(settled(samples), "Asterisk", MORE_OF_THE_SWITCH, more_mb)


def grown_lives(samples: list[Sample]) -> list[str]:
    """The same of every life of the daemon, once it has more than the one thread that imports, which may take many seconds."""
    lives: dict[int, list[Sample]] = {}
    for each in samples:
        if each.threads > 1:
            lives.setdefault(each.pid, []).append(each)
    return [fault for life in lives.values() for fault in grown(life, "edge run")]


async def _happens(event: asyncio.Event) -> None:
    await event.wait()


async def soak(
    rig: Rig,
    seconds: float,
    *,
    seed: int,
    rate: float,
    progress: Progress,
    ending: asyncio.Event | None = None,
) -> Result:
    """The soak of a lab that is up, until its time is over or somebody sets `ending`."""
    async with hurt_daemon(rig) as hurt:
        await rig.staff(len(rig.lab.agents))
        await rig.serve_for(OURS)
        return await Soak(rig, hurt, seed, rate, progress).run(seconds, ending or asyncio.Event())
