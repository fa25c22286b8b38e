"""A control room on a real Asterisk: callers, agents at their phones, and what the daemon wrote down of them.

    ann = await room.agent(1)                # agent 4001 signed in at her registered phone, which rings and waits
    jo = room.caller("101")                  # a caller with a number of their own dials the line
    call = await ann.offered()               # her phone's INVITE
    call.answer()
    await room.until(lambda: room.record(jo).state is CallState.TALKING)
    await call.hang_up()
    assert (await room.ended(jo)).side is Side.AGENT

Every wait has a deadline. Times are the phones' own stamps of the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from edge.config import Configuration, load
from edge.core import facts
from edge.core.model import AgentState, CallState, PhoneState
from edge.core.state import State, fold
from edge.errors import RefusedError
from edge.ledger.store import SqlReader, open_reader
from edge.pbx.asterisk.control import AgentControl, connected
from edge.ports import LedgerError
from edge.views.calls import CallFold, CallRecord
from hwtest.bench.numbers import caller_numbers
from hwtest.lab import daemon, packages, processes, stack
from hwtest.lab.asterisk import AsteriskProcess
from hwtest.lab.configuration import to_toml
from hwtest.lab.contract import Lab, LabAgent, LabPhone
from hwtest.lab.ports import Ports, kept
from hwtest.lab.processes import ProcessIdentity
from hwtest.useragent import (
    AgentPhone,
    Behaviour,
    Call,
    IncomingCall,
    Media,
    OutgoingCall,
    SipError,
    UserAgent,
    ringing_only,
)

WITHIN_SECONDS = 8.0
"""How long anything may take that happens at once on a machine with nothing else to do."""
POLL_SECONDS = 0.01
Fact = TypeVar("Fact", bound=facts.Fact)
_numbers = caller_numbers()


async def until(
    condition: Callable[[], object], within_seconds: float = WITHIN_SECONDS, what: str = ""
) -> None:
    """Return when `condition()` holds; an AssertionError names `what` was waited for in vain."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, (
            f"not within {within_seconds:g} s: {what or 'what was waited for'}"
        )
        await asyncio.sleep(POLL_SECONDS)


def milliseconds(
    earlier: Call, label: str, later: Call, other_label: str, method: str | None = None
) -> float:
    """From the first `label` of one call to the first `other_label` of another, on the wire."""
    start, end = earlier.stamp_of(label, method), later.stamp_of(other_label)
    assert start is not None, f"no {label} on the wire"
    assert end is not None, f"no {other_label} on the wire"
    return (end.monotonic_ns - start.monotonic_ns) / 1e6


def policy_file(directory: Path, policy: dict[str, Any]) -> Path:
    """`policy` as a file for `hwtest lab up --policy`."""
    file = directory / "policy.toml"
    file.write_text(to_toml(policy), encoding="utf-8")
    return file


class LiveLab:
    """A lab that is up, its processes in the test's hands, and its ledger folded as it grows."""

    def __init__(self, started: Lab) -> None:
        self.lab = started
        self.directory = Path(started.directory)
        self.configuration: Configuration = load(Path(started.config))
        self.state = State()
        self.calls = CallFold()
        self.entries: list[facts.Entry] = []
        self._reader: SqlReader | None = None
        self._kept = contextlib.ExitStack()
        self._kept.enter_context(kept(Ports.of_sip(started.sip.port), packages.cache_directory() / "ports"))

    @classmethod
    def up(
        cls, directory: Path, policy: dict[str, Any], *, agents: int = 4, with_daemon: bool = True
    ) -> LiveLab:
        """Start a lab in this directory, wrap-up 0 unless the policy says otherwise."""
        directory.mkdir(parents=True, exist_ok=True)
        wishes = stack.Wishes(
            directory=directory / "lab",
            agents=agents,
            wrap_up_seconds=0.0,
            policy=policy_file(directory, policy),
            with_daemon=with_daemon,
        )
        return cls(stack.up(wishes, lambda _: None))

    def down(self) -> None:
        """End it."""
        stack.down(self.directory)
        self._kept.close()

    # --- the record ---

    def follow(self) -> None:
        """Fold what the daemon has written since the last time; an illegal fact raises."""
        if self._reader is None:
            try:
                self._reader = open_reader(self.lab.ledger)
            except LedgerError:  # a lab whose daemon has never run
                return
            self._kept.callback(self._reader.close)
        while page := self._reader.read(self.state.sequence, 5000):
            for entry in page:
                fold(self.state, entry)
                self.calls.add(entry)
                self.entries.append(entry)

    def forget(self) -> None:
        """The ledger was replaced by another: read it from its beginning."""
        self.state, self.calls, self.entries = State(), CallFold(), []

    # --- processes ---

    @property
    def daemon(self) -> ProcessIdentity | None:
        """The daemon that runs now."""
        found = processes.running(self.lab.commands["edge"])
        return found[0] if found else None

    @property
    def is_watched(self) -> bool:
        """Whether a daemon runs and is not stopped by a signal (proc(5), state T)."""
        running = self.daemon
        return running is not None and "State:\tT" not in Path(f"/proc/{running.pid}/status").read_text()

    @property
    def has_application(self) -> bool:
        """Whether the switch has the daemon's application: a call goes to it, and not to the fallback at once."""
        return self.configuration.switch.app in self.asterisk.cli("ari show apps").split()

    async def lose_daemon(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the daemon and return when the switch has noticed. Nobody may wait: callers keep the application there."""
        self.signal_daemon(number)
        await until(lambda: not self.has_application, what="the switch notices that the daemon is gone")

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send the daemon a signal; SIGKILL and SIGTERM return when it has ended."""
        running = self.daemon
        assert running is not None, "no daemon runs"
        running.signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            assert running.ended_within(WITHIN_SECONDS)

    async def start_daemon(self, *, wait: bool = True, ahead_seconds: float = 0.0) -> None:
        """Start the daemon as lab.json says; `wait` until its ledger says that it sees the switch.

        `ahead_seconds`: how far its UTC clock is ahead of the machine's; its monotonic clock is the machine's in any case.
        """
        before = daemon.last_sequence(self.lab.ledger)
        command = self.lab.commands["edge"]
        if ahead_seconds:
            command = (*_another_date(ahead_seconds), *command)
        processes.start(command, self.directory / "log/edge.log")
        if wait:
            await until(lambda: daemon.serves(self.lab.ledger, before), 15, "the daemon sees the switch")

    @property
    def asterisk(self) -> AsteriskProcess:
        """The Asterisk of this lab as it is now."""
        return AsteriskProcess.attach(Path(self.lab.asterisk_directory))

    async def start_asterisk(self) -> None:
        """Start Asterisk again after it was killed, on the same configuration and data."""
        installation = await asyncio.to_thread(packages.obtain, "sid", progress=lambda _: None)
        await asyncio.to_thread(AsteriskProcess.start, installation, Path(self.lab.asterisk_directory))

    def has_kept(self, agent: str) -> bool:
        """Whether the switch has this agent's sign-in on disk: its database is committed about once a second (main/db.c),
        and what it was told since then dies with it. Read without a lock: a commit that finds one is taken back whole."""
        [file] = Path(self.lab.asterisk_directory).rglob("astdb.sqlite3")
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as database:
            try:
                rows = database.execute("select 1 from astdb where key = ?", (f"/edge/agent/{agent}",))
                return rows.fetchone() is not None
            except sqlite3.DatabaseError:  # read in the middle of a commit
                return False

    def edge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `edge` command line on this lab's configuration."""
        command = (sys.executable, "-m", "edge", "--config", self.lab.config, *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    # --- what must not leak ---

    def channels(self) -> str:
        """The switch's channels, one a line; empty when there are none."""
        return "\n".join(stack.living_channels(self.asterisk.cli("core show channels concise")))

    def bridges(self) -> str:
        """The switch's bridges, one a line; empty when there are none."""
        lines = self.asterisk.cli("bridge show all").splitlines()[1:]
        return "\n".join(line for line in lines if line.strip())

    def log_files(self) -> Iterator[Path]:
        """Every file that the daemon, Asterisk and their helpers log to; not the switch's own record of calls, which holds
        numbers because it is one."""
        record = ("cel-custom", "cdr-custom")
        for folder in (self.directory / "log", Path(self.lab.asterisk_directory) / "log"):
            for file in folder.rglob("*"):
                if file.is_file() and file.parent.name not in record and file.name != "queue_log":
                    yield file

    def warnings(self, after_bytes: int) -> list[str]:
        """What the daemon logged above "info" after this many bytes of its log, and whatever is no record at all."""
        file = self.directory / "log/edge.log"
        lines = file.read_bytes()[after_bytes:].decode(errors="replace").splitlines() if file.exists() else []
        return [line for line in lines if _level(line) not in ("debug", "info")]

    @property
    def log_bytes(self) -> int:
        """Length of the daemon's log now."""
        file = self.directory / "log/edge.log"
        return file.stat().st_size if file.exists() else 0


def _another_date(ahead_seconds: float) -> tuple[str, ...]:
    """What a command is begun with for another date; env(1) makes way for it, so that its process is the same as ever."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "libfaketime is missing: run `make setup-tests`"
    return (
        "/usr/bin/env",
        f"LD_PRELOAD={libraries[0]}",
        f"FAKETIME={ahead_seconds:+.6f}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
        "NO_FAKE_STAT=1",
        "FAKETIME_DISABLE_SHM=1",
    )


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level", ""))
    except ValueError:
        return "no record"  # a traceback, say


class Desk:
    """An agent's phone in the test's hands: it rings and waits unless told a behaviour."""

    def __init__(self, phone: AgentPhone, number: str) -> None:
        self.phone = phone
        self.number = number
        """The agent whose usual phone this is."""
        self._taken = 0

    @property
    def calls(self) -> list[IncomingCall]:
        """Every INVITE that came to this phone."""
        return self.phone.calls

    async def offered(self, within_seconds: float = WITHIN_SECONDS) -> IncomingCall:
        """The next INVITE that this has not returned yet."""
        await until(lambda: len(self.calls) > self._taken, within_seconds, f"an INVITE to {self.phone.user}")
        self._taken += 1
        return self.calls[self._taken - 1]

    async def answers(self, within_seconds: float = WITHIN_SECONDS) -> IncomingCall:
        """Answer the next INVITE and return when the switch has acknowledged."""
        call = await self.offered(within_seconds)
        call.answer()
        await call.until(lambda: call.acknowledged, WITHIN_SECONDS)
        return call

    async def dial(self, number: str) -> OutgoingCall:
        """Dial a code from this phone and return when the switch has hung up."""
        return await self.phone.dial(number, 20.0)


class Room:
    """Callers and agents of one test. `close` sends everybody home."""

    def __init__(self, live: LiveLab) -> None:
        live.follow()
        self.live = live
        self.lab = live.lab
        self.callers = UserAgent(user="caller")
        self.desks: list[Desk] = []
        self.numbers: dict[OutgoingCall, str] = {}
        self._from_sequence = live.state.sequence

    # --- people ---

    def caller(
        self, line: str = "101", *, tone_hz: int | None = None, hears: bool = False, **invite: Any
    ) -> OutgoingCall:
        """A caller with a number of their own dials a line; they speak a tone, or hear in silence, or neither."""
        number = next(_numbers)
        media = Media("tone", tone_hz) if tone_hz else Media("silence" if hears else "sink")
        call = self.callers.invite(self.uri(line), **{"from_user": number, "media": media, **invite})
        self.numbers[call] = number
        return call

    def uri(self, line: str) -> str:
        """A line by its name, or any number, at this lab."""
        return f"sip:{self.lab.lines.get(line, line)}@{self.lab.sip.host}:{self.lab.sip.port}"

    async def queue_up(
        self, count: int, line: str = "101", *, apart_seconds: float = 0.0
    ) -> list[OutgoingCall]:
        """So many callers who wait one behind the other: each joins when the one before has a place."""
        callers = []
        for _ in range(count):
            callers.append(caller := self.caller(line))
            await (caller.ringing if line == "999" else caller.answered)(WITHIN_SECONDS)
            assert await caller.lasts(apart_seconds)
        return callers

    async def desk(
        self, index: int, behaviour: Behaviour | None = None, *, tone_hz: int | None = None
    ) -> Desk:
        """The registered phone agent<index>; nobody has signed in at it."""
        agent = self.lab.agents[index - 1]
        media = Media("tone", tone_hz) if tone_hz else Media("silence")
        phone = AgentPhone(
            agent.user, agent.password, agent.registrar, behaviour or ringing_only(), media=media
        )
        self.desks.append(desk := Desk(phone, agent.number))
        await phone.start()
        if self.live.is_watched:
            await self.until(lambda: self.live.state.phones.get(phone.user) is PhoneState.IDLE)
        return desk

    async def agent(
        self, index: int, behaviour: Behaviour | None = None, *, tone_hz: int | None = None
    ) -> Desk:
        """Agent 4000+index at the usual phone, registered, signed in and ready (a daemon that runs has seen it)."""
        desk = await self.desk(index, behaviour, tone_hz=tone_hz)
        await self.sign_in(desk)
        return desk

    async def supervisor(self, behaviour: Behaviour | None = None, *, tone_hz: int | None = None) -> Desk:
        """The lab's supervisor at the usual phone, registered; nobody is signed in there."""
        return await self._extra(self.lab.supervisors[0], behaviour, tone_hz)

    async def test_phone(self, behaviour: Behaviour | None = None) -> Desk:
        """The phone of the lab's test line."""
        return await self._extra(self.lab.test_phones[0], behaviour)

    async def _extra(
        self, agent: LabAgent | LabPhone, behaviour: Behaviour | None, tone_hz: int | None = None
    ) -> Desk:
        phone = AgentPhone(
            agent.user,
            agent.password,
            agent.registrar,
            behaviour or ringing_only(),
            media=Media("tone", tone_hz) if tone_hz else Media("silence"),
        )
        number = agent.number if isinstance(agent, LabAgent) else ""
        self.desks.append(desk := Desk(phone, number))
        await phone.start()
        if self.live.is_watched:
            await self.until(lambda: self.live.state.phones.get(phone.user) is PhoneState.IDLE)
        return desk

    @contextlib.asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[list[IncomingCall]]:
        """Where the lab's trunk sends calls to public numbers, the buddy force's among them; it rings. Yields the calls."""
        calls: list[IncomingCall] = []

        def take(call: IncomingCall) -> None:
            calls.append(call)
            call.ring()

        async with UserAgent(self.lab.callee.host, self.lab.callee.port, user="elsewhere") as far:
            far.on_invite = take
            yield calls

    async def sign_in(self, desk: Desk) -> None:
        """As `edge agent sign-in` does it."""
        async with connected(self.live.configuration) as link:
            await AgentControl(link, self.live.configuration).sign_in(desk.number)
        if self.live.is_watched:
            await self.until(lambda: self.agent_state(desk) is not AgentState.SIGNED_OUT)

    # --- the record ---

    async def until(
        self, condition: Callable[[], object], within_seconds: float = WITHIN_SECONDS, what: str = ""
    ) -> None:
        """Return when `condition()` holds of the record, which is read before each look."""

        def holds() -> object:
            self.live.follow()
            return condition()

        await until(holds, within_seconds, what or "what the record was to show")

    def facts(self, *kinds: type[Fact]) -> list[Fact]:
        """Facts since this room opened, of these kinds, in order."""
        self.live.follow()
        entries = self.live.entries[self._from_sequence :]
        return [entry.fact for entry in entries if not kinds or isinstance(entry.fact, kinds)]  # type: ignore[misc]

    def reasons(self, caller: OutgoingCall) -> str:
        """Why everything happened to this call, a sentence a line."""
        call_id = self.record(caller).call_id
        return "\n".join(e.reason for e in self.live.entries if getattr(e.fact, "call_id", "") == call_id)

    def record(self, caller: OutgoingCall) -> CallRecord:
        """The caller's call as the ledger has it now."""
        found = self.find(caller)
        assert found is not None, "the call is not in the record"
        return found

    def find(self, caller: OutgoingCall) -> CallRecord | None:
        """The caller's call as the ledger has it now, None before it is there."""
        self.live.follow()
        number = self.numbers[caller]
        return next((r for r in self.live.calls.calls.values() if r.caller_number == number), None)

    async def reaches(
        self, caller: OutgoingCall, state: CallState, within_seconds: float = WITHIN_SECONDS
    ) -> CallRecord:
        """The caller's call, once the record has it in this state."""
        what = f"call in state {state}"
        await self.until(
            lambda: (found := self.find(caller)) is not None and found.state is state, within_seconds, what
        )
        return self.record(caller)

    async def ended(self, caller: OutgoingCall, within_seconds: float = WITHIN_SECONDS) -> CallRecord:
        """The caller's call, once it has its terminal state."""
        return await self.reaches(caller, CallState.ENDED, within_seconds)

    def who(self, call: IncomingCall) -> OutgoingCall:
        """The caller whose number this phone shows."""
        return next(caller for caller, number in self.numbers.items() if number == call.caller_number)

    async def serve(self, desk: Desk, within_seconds: float = WITHIN_SECONDS) -> OutgoingCall:
        """The desk answers its next call, talks for a moment and hangs up; returns the caller."""
        call = await desk.answers(within_seconds)
        caller = self.who(call)
        await self.reaches(caller, CallState.TALKING)
        await call.hang_up()
        await self.ended(caller)
        return caller

    def agent_state(self, desk: Desk) -> AgentState:
        """What the record says of the agent whose usual phone this is."""
        record = self.live.state.agents.get(desk.number)
        return AgentState.SIGNED_OUT if record is None else record.state

    async def becomes(self, desk: Desk, state: AgentState, within_seconds: float = WITHIN_SECONDS) -> None:
        """Return when the record has this agent in this state."""
        await self.until(lambda: self.agent_state(desk) is state, within_seconds, f"{desk.number} {state}")

    # --- the end ---

    async def close(self) -> None:
        """Everybody hangs up, signs out and unregisters."""
        await self.callers.shut_down(3.0)
        for desk in self.desks:
            for call in list(desk.phone.agent.calls.values()):
                with contextlib.suppress(TimeoutError, SipError):
                    async with asyncio.timeout(3.0):
                        await call.hang_up()
        await self._sign_everybody_out()
        await asyncio.gather(*(desk.phone.stop() for desk in self.desks))

    async def _sign_everybody_out(self) -> None:
        if not self.live.asterisk.running:
            return
        async with connected(self.live.configuration) as link:
            control = AgentControl(link, self.live.configuration)
            for number in self.live.configuration.agents:
                with contextlib.suppress(RefusedError):  # was not signed in
                    await control.sign_out(number)
