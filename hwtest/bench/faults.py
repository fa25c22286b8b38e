"""999 under every fault of the daemon, with agents free: from the caller's INVITE to an agent's, and the seconds without any.

The daemon runs under the supervisor of the unit and between two proxies. In each run it is hurt once, the first 999 leaving in the
same instant; others follow every half second, wherever the fault, the fallback and the restart stand by then. Then everything is
mended, the daemon serves again, and the next run begins. Whoever rings the agent counts, our engine or the switch's own queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import resource
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from edge.config import load
from edge.core.facts import DaemonStarted, SwitchLost, SwitchRestored
from edge.ledger.store import open_reader
from hwtest.bench.readings import Reach, longest_without, reaches
from hwtest.bench.results import Block, Figure, Outcome, cap_all, count_errors, unmeasured
from hwtest.bench.rig import OURS, Measured, Rig, RigError, Stretch
from hwtest.lab import daemon, processes
from hwtest.lab.contract import Lab
from hwtest.lab.processes import ProcessIdentity
from hwtest.lab.proxy import Proxy
from hwtest.useragent import answering

MOST_MS = 5_000.0
PROBES = 9
"""999 calls in one run: the first at the instant of the fault, the others after it, half a second apart."""
APART_SECONDS = (0.4, 0.6)
PATIENCE_SECONDS = 12.0
"""How long the last 999 of a run may take before it counts as never brought to anybody."""
TALK_SECONDS = 0.05
SERVES_SECONDS = 40.0
SETTLE_SECONDS = 0.5
ABSENT_CALLS = 100
ABSENT = "daemon absent: calls that reached an agent"
_POLL_SECONDS = 0.02
_HELD_SECONDS, _LET_GO_SECONDS = 0.2, 0.05
"""A slow ledger: so long every commit waits for somebody else's, and so long it may go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`samples`: 999 calls per fault; `only`: names of faults, all if empty; `absent_calls`: calls without any daemon."""

    samples: int
    only: Sequence[str] = ()
    absent_calls: int = ABSENT_CALLS

    @property
    def runs(self) -> int:
        """So often each fault is brought about."""
        return max(1, -(-self.samples // PROBES))


class Hurt:
    """The lab's daemon, supervised and between two proxies, and everything that is done to it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        configuration = load(Path(lab.config))
        self._app = configuration.switch.app
        self._ledger = Path(lab.ledger.removeprefix("sqlite:///"))
        self.ami, self.ari = Proxy(configuration.switch.ami.port), Proxy(lab.ari.port)
        file = Path(lab.directory, "hurt.toml")
        text = Path(lab.config).read_text(encoding="utf-8")
        text = text.replace(f"port = {configuration.switch.ami.port}", f"port = {self.ami.port}")
        text = text.replace(configuration.switch.ari.url, f"http://127.0.0.1:{self.ari.port}")
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        self._command = (sys.executable, "-m", "hwtest.lab.hanging", "--config", str(file), "run")
        self._supervisor: ProcessIdentity | None = None
        self._reader = open_reader(lab.ledger)
        self._cursor = self._reader.last_sequence()
        self._serves = False

    @property
    def daemon(self) -> ProcessIdentity | None:
        """The daemon that runs now."""
        found = processes.running(self._command)
        return found[0] if found else None

    def follow(self) -> bool:
        """Whether the newest daemon sees the switch, by its own record."""
        while entries := self._reader.read(self._cursor):
            for entry in entries:
                if isinstance(entry.fact, DaemonStarted | SwitchLost | SwitchRestored):
                    self._serves = isinstance(entry.fact, SwitchRestored)
                self._cursor = entry.sequence
        return self._serves

    def start(self) -> None:
        """Start the supervisor, which starts the daemon."""
        command = (*daemon.supervisor_command(Path(self._lab.directory)), *self._command)
        log = Path(self._lab.directory, "log/supervisor.log")
        self._supervisor = ProcessIdentity.of(processes.start(command, log).pid)

    def stop(self) -> None:
        """No daemon and nobody who starts one."""
        if self._supervisor is not None:
            if (running := self.daemon) is not None:
                running.signal(signal.SIGCONT)
            self._supervisor.stop(10)
            self._supervisor = None
        self._serves = False

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        if (running := self.daemon) is not None:
            running.signal(number)

    async def serving(self) -> None:
        """Return when it serves, and has not ended a moment later. RigError when it does not."""
        until = time.monotonic() + SERVES_SECONDS
        while time.monotonic() < until:
            before = self.daemon
            if self.follow() and before is not None:
                await asyncio.sleep(SETTLE_SECONDS)
                if self.follow() and self.daemon == before:
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise RigError(f"the daemon did not serve again within {SERVES_SECONDS:.0f} s")

    def close(self) -> None:
        """End it."""
        self.stop()
        self._reader.close()
        self.ami.close()
        self.ari.close()

    # What is done to it

    @contextmanager
    def absent(self) -> Iterator[None]:
        """No daemon, and the switch knows it."""
        self.stop()
        time.sleep(SETTLE_SECONDS)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def struck(self, number: signal.Signals) -> Iterator[None]:
        """One signal, and what the supervisor makes of it."""
        self.signal(number)
        yield
        self.signal(signal.SIGCONT)

    @contextmanager
    def cut(self, link: Proxy) -> Iterator[None]:
        """A link is cut, and no other is made."""
        link.cut()
        try:
            yield
        finally:
            link.mend()

    @contextmanager
    def refused(self) -> Iterator[None]:
        """A full disk: the kernel refuses every write to any file (RLIMIT_FSIZE)."""
        running = self.daemon
        if running is None:
            raise RigError("no daemon runs")
        limits = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            yield
        finally:
            if running.running:
                resource.prlimit(running.pid, resource.RLIMIT_FSIZE, limits)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A read-only ledger: somebody else holds its write lock all the time."""
        with contextlib.closing(sqlite3.connect(self._ledger, isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                other.execute("ROLLBACK")

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every commit waits for somebody else's most of the time."""
        over = threading.Event()

        def hold() -> None:
            with contextlib.closing(sqlite3.connect(self._ledger, isolation_level=None, timeout=5)) as other:
                while not over.wait(_LET_GO_SECONDS):
                    other.execute("BEGIN IMMEDIATE")
                    over.wait(_HELD_SECONDS)
                    other.execute("ROLLBACK")

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    async def deafen(self) -> None:
        """The websocket stays open, answers pings, and its application is dead: a rival took it and has gone, unheard of."""
        self.ari.lose(b"ApplicationReplaced")
        login = self._lab.ari
        async with aiohttp.ClientSession(auth=aiohttp.BasicAuth(login.user, login.password)) as session:
            address = f"ws://{login.host}:{login.port}/ari/events"
            async with session.ws_connect(address, params={"app": self._app}):
                pass


Bring = Callable[[Hurt], AbstractContextManager[None]]
FAULTS: dict[str, Bring] = {
    "absent": Hurt.absent,
    "killed": lambda hurt: hurt.struck(signal.SIGKILL),
    "stopped": lambda hurt: hurt.struck(signal.SIGSTOP),
    "hung-loop": lambda hurt: hurt.struck(signal.SIGUSR1),
    "dead-application": lambda _: contextlib.nullcontext(),
    "ami-cut": lambda hurt: hurt.cut(hurt.ami),
    "ari-cut": lambda hurt: hurt.cut(hurt.ari),
    "ledger-full": Hurt.refused,
    "ledger-slow": Hurt.slow,
    "ledger-read-only": Hurt.locked,
    "restarting": lambda hurt: hurt.struck(signal.SIGTERM),
}
DEAD_APPLICATION = "dead-application"


def name_of(fault: str) -> str:
    """The row of a fault."""
    return f"999, daemon {fault}: INVITE -> agent INVITE"


def without_of(fault: str) -> str:
    """The row of the seconds in which no 999 reached an agent."""
    return f"999, daemon {fault}: longest without an agent"


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Every fault in turn, and the calls without a daemon."""
    outcome = Outcome()
    async with _hurt(rig) as hurt:
        await rig.staff(len(rig.lab.agents))
        await rig.serve_for(OURS)
        with rig.behaviour(answering(talk_seconds=TALK_SECONDS)):
            for fault in plan.only or FAULTS:
                blocks, gaps = await _runs(rig, hurt, fault, plan.runs)
                outcome.blocks += blocks
                outcome.figures += figures(fault, blocks, gaps)
                rig.progress(f"daemon {fault}: {_in_words(outcome.figures[-2], gaps)}")
            if plan.absent_calls:
                outcome.figures.append(await _all_by_fallback(rig, hurt, plan.absent_calls))
    return outcome


def figures(fault: str, blocks: Sequence[Block], gaps: Sequence[float]) -> list[Figure]:
    """The rows of one fault."""
    row = cap_all(name_of(fault), OURS, blocks, MOST_MS)
    if row.summary is None:
        return [row, unmeasured(without_of(fault), "", "nothing was measured")]
    without = Figure(name=without_of(fault), system=OURS, unit="s", value=max(gaps))
    return [row, without]


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(name_of(fault), f"all <= {MOST_MS:g} ms", why) for fault in FAULTS]


def _in_words(row: Figure, gaps: Sequence[float]) -> str:
    if row.summary is None:
        return "not measured"
    return f"n {row.summary.n}, worst {row.summary.maximum / 1000:.2f} s, without any agent {max(gaps):.2f} s"


@asynccontextmanager
async def _hurt(rig: Rig) -> AsyncIterator[Hurt]:
    """Our daemon in the place of the lab's own, which is started again in the end."""
    for running in processes.running(rig.lab.commands["edge"]):
        running.stop(10)
    hurt = Hurt(rig.lab)
    try:
        hurt.start()
        await hurt.serving()
        yield hurt
    finally:
        hurt.close()
        processes.start(rig.lab.commands["edge"], Path(rig.lab.directory, "log/edge.log"))


async def _runs(rig: Rig, hurt: Hurt, fault: str, count: int) -> tuple[list[Block], list[float]]:
    blocks, gaps = list[Block](), list[float]()
    for number in range(count):
        await hurt.serving()
        dice = random.Random(f"{fault} {number}")
        stretch = await Stretch.begin(rig)
        before = hurt.daemon
        with FAULTS[fault](hurt):
            if fault == DEAD_APPLICATION:
                await hurt.deafen()
            await _probe(rig, dice)
            measured = await stretch.end()
        found = reaches(measured.taken.records, rig.caller_ports, rig.agent_ports)
        blocks.append(_block(fault, measured, found))
        gaps.append(longest_without(found, time.time_ns()))
        await rig.clear()
        if fault in (DEAD_APPLICATION, "hung-loop", "killed", "restarting"):
            await _replaced(hurt, before)
    await hurt.serving()
    return blocks, gaps


async def _replaced(hurt: Hurt, before: ProcessIdentity | None) -> None:
    """Return when another process is the daemon."""
    until = time.monotonic() + SERVES_SECONDS
    while (now := hurt.daemon) is None or now == before:
        if time.monotonic() > until:
            raise RigError("the daemon neither ended nor was replaced")
        await asyncio.sleep(_POLL_SECONDS)


async def _probe(rig: Rig, dice: random.Random) -> None:
    """999 calls, one after the other, the first now; return when each was answered or has waited too long."""
    calls = []
    for _ in range(PROBES):
        calls.append(rig.call("999"))
        await asyncio.sleep(dice.uniform(*APART_SECONDS))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            for call in calls:
                await call.ended(PATIENCE_SECONDS)


def _block(fault: str, measured: Measured, found: Sequence[Reach]) -> Block:
    """One run. App_queue's own calls and retransmissions are what a fault is like: they make nothing invalid. Who reached nobody
    counts with the whole time that they waited."""
    waited = PATIENCE_SECONDS * 1000
    samples = [waited if reach.milliseconds is None else reach.milliseconds for reach in found]
    block = measured.block(name_of(fault), OURS, samples)
    faults = "" if len(found) == PROBES else f"{len(found)} of {PROBES} calls on the wire"
    return dataclasses.replace(block, invalid=faults or None)


async def _all_by_fallback(rig: Rig, hurt: Hurt, count: int) -> Figure:
    """Calls without a daemon, one after the other: each must reach an agent."""
    with hurt.absent():
        stretch = await Stretch.begin(rig)
        for _ in range(count):
            call = rig.call("101_no_greeting")
            with contextlib.suppress(TimeoutError):
                await call.ended(PATIENCE_SECONDS)
        measured = await stretch.end()
    found = reaches(measured.taken.records, rig.caller_ports, rig.agent_ports)
    await rig.clear()
    missing = [place for place, reach in enumerate(found, 1) if reach.offered_ns is None]
    figure = count_errors(ABSENT, OURS, missing, len(found), "calls that reached nobody")
    figure.notes.append(f"{len(found) - len(missing)} of {count} reached an agent by the switch's own queue")
    return figure
