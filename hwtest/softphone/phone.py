"""Software phones as their user has them: asyncio on this side, the process of `hwtest.softphone.process` on the other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from hwtest.lab.apt import LabError
from hwtest.softphone.build import Library
from hwtest.softphone.messages import (
    Address,
    Anchors,
    Answer,
    Begin,
    Broken,
    CallChanged,
    CallerComes,
    Dial,
    DigitHeard,
    Done,
    End,
    Event,
    Failed,
    Granted,
    HangUp,
    Measure,
    MediaChanged,
    Name,
    Open,
    Play,
    Quiet,
    Ready,
    Record,
    Register,
    Reply,
    RestartClock,
    SendDigits,
    Settings,
    Statistics,
    Value,
)

START_SECONDS = 15.0
REPLY_SECONDS = 10.0
REGISTER_SECONDS = 10.0
"""So long a registrar may take. SIP would ask it for 32 s; no phone that is in use waits so long."""
END_SECONDS = 5.0
_LONGEST_LINE_BYTES = 16 * 1024 * 1024
_SUCCESS = 200
V = TypeVar("V")


class SoftphoneError(LabError):
    """A software phone cannot do what was asked; the message says why."""


class Softphones:
    """A set of phones in one process, with one audio clock. Leaving the block hangs up, unregisters and ends the process."""

    def __init__(self, library: Library, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.version = ""
        self._library = library
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Value]] = {}
        self._phones: dict[str, Softphone] = {}
        self._calls: dict[str, SoftphoneCall] = {}
        self._early: dict[str, list[Event]] = {}
        """What was told of calls whose name we have not been given yet."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._errors: Any = None
        self._lost: SoftphoneError | None = None
        """Why nothing is answered any more."""

    async def __aenter__(self) -> Self:
        """Start the process. SoftphoneError when PJSUA2 does not start."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end
        self._ready = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "hwtest.softphone.process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._errors,
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # the terminal's Ctrl-C is for us alone
            env={**os.environ, **self._library.environment},
        )
        self._reader = asyncio.create_task(self._read())
        self._write(Begin(settings=self.settings))
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except TimeoutError:
            await self._stop()
            raise SoftphoneError(f"The software phones did not start in {START_SECONDS:.0f} s.") from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hang up, unregister, end."""
        with contextlib.suppress(SoftphoneError):
            await self.ask(lambda number: End(number=number), Done, END_SECONDS)
        await self._stop()

    async def phone(self, name: str, host: str = "127.0.0.1") -> Softphone:
        """A phone of this name on a port of its own."""
        address = await self.ask(lambda number: Open(number=number, phone=name, host=host), Address)
        self._phones[name] = Softphone(self, name, address)
        return self._phones[name]

    async def restart_clock(self) -> None:
        """Start the audio clock anew: its 20 ms begin at another instant, which no measurement can choose."""
        await self.ask(lambda number: RestartClock(number=number), Done)

    # The conversation

    async def ask(
        self,
        make: Callable[[int], msgspec.Struct],
        kind: type[V],
        within_seconds: float = REPLY_SECONDS,
        silence: str = "The software phones did not answer in time.",
    ) -> V:
        """The answer to a command. SoftphoneError when it cannot be carried out, with `silence` when none comes."""
        number = next(self._numbers)
        reply: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        self._write(make(number))
        try:
            async with asyncio.timeout(within_seconds):
                value = await reply
        except TimeoutError:
            raise SoftphoneError(silence) from None
        finally:
            self._waiting.pop(number, None)
        if isinstance(value, Failed):
            raise SoftphoneError(f"The software phone says: {value.reason}.")
        assert isinstance(value, kind)
        return value

    def _write(self, message: msgspec.Struct) -> None:
        if self._lost is not None:
            raise SoftphoneError(str(self._lost))
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._take(msgspec.json.decode(line, type=Event))
        self._give_up(
            SoftphoneError(f"The software phones ended by themselves. {self._last_words()}".strip())
        )

    def _take(self, event: Event) -> None:
        match event:
            case Reply(number=number, value=value):
                reply = self._waiting.get(number)
                if reply is not None and not reply.done():
                    reply.set_result(value)
            case Ready(version=version):
                self.version = version
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)
            case Broken(reason=reason):
                self._give_up(SoftphoneError(f"The software phones cannot start: {reason}."))
            case CallerComes():
                self._phones[event.phone].take(self.adopt(event.call, event.call_id, event.from_uri))
            case CallChanged() | MediaChanged() | DigitHeard():
                if event.call in self._calls:
                    self._calls[event.call].note(event)
                else:
                    self._early.setdefault(event.call, []).append(event)

    def adopt(self, name: str, call_id: str, peer: str) -> SoftphoneCall:
        """The call of this name, with what was told of it before."""
        call = self._calls[name] = SoftphoneCall(self, name, call_id, peer)
        for event in self._early.pop(name, []):
            call.note(event)
        return call

    def _give_up(self, error: SoftphoneError) -> None:
        self._lost = self._lost or error
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
        for call in self._calls.values():
            call.lose()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"Its last words: {lines[-1][:200]}" if lines else ""

    async def _stop(self) -> None:
        assert self._process is not None and self._process.stdin is not None and self._reader is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader
        if self._ready is not None and self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        self._errors.close()


class Softphone:
    """One phone."""

    def __init__(self, phones: Softphones, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self._phones = phones
        self._incoming: asyncio.Queue[SoftphoneCall] = asyncio.Queue()
        self._registrar = ""

    @property
    def uri(self) -> str:
        """Where it is called directly, without any switch."""
        return f"sip:{self.name}@{self.address.host}:{self.address.port}"

    async def register(self, registrar: str, user: str, password: str, seconds: int = 300) -> int:
        """Register at `registrar` (host:port); the seconds granted. SoftphoneError with status and reason when refused."""
        granted = await self._phones.ask(
            lambda number: Register(
                number=number,
                phone=self.name,
                registrar=registrar,
                user=user,
                password=password,
                seconds=seconds,
            ),
            Granted,
            REGISTER_SECONDS,
            f"{registrar} does not answer the registration, within {REGISTER_SECONDS:g} s.",
        )
        if granted.status != _SUCCESS:
            raise SoftphoneError(f"{registrar} refuses the registration: {granted.status} {granted.reason}.")
        self._registrar = registrar
        return granted.seconds

    async def unregister(self) -> None:
        """Withdraw the registration."""
        await self._phones.ask(
            lambda number: Register(
                number=number, phone=self.name, registrar=self._registrar, user="", password="", seconds=0
            ),
            Granted,
        )

    async def invite(self, uri: str, from_user: str = "", password: str = "") -> SoftphoneCall:
        """Place a call; returns at once. The interlock of the site is asked before, not here.

        `password`: of `from_user`, where the switch takes no calls from strangers.
        """
        placed = await self._phones.ask(
            lambda number: Dial(
                number=number, phone=self.name, uri=uri, from_user=from_user or self.name, password=password
            ),
            Name,
        )
        return self._phones.adopt(placed.call, placed.call_id, uri)

    async def next_call(self, within_seconds: float) -> SoftphoneCall:
        """The next call that comes in. TimeoutError when none does."""
        async with asyncio.timeout(within_seconds):
            return await self._incoming.get()

    def take(self, call: SoftphoneCall) -> None:
        """A call came in."""
        self._incoming.put_nowait(call)


class SoftphoneCall:
    """One call of a software phone. `stamps`: when each state was first seen (monotonic clock, ns)."""

    def __init__(self, phones: Softphones, name: str, call_id: str, peer: str) -> None:
        self.name = name
        self.call_id = call_id
        self.peer = peer
        self.state = ""
        self.status = 0
        self.reason = ""
        self.hears = False
        self.stamps: dict[str, int] = {}
        self.digits: list[DigitHeard] = []
        self._phones = phones
        self._notes = asyncio.Event()

    def note(self, event: Event) -> None:
        """What the process tells of this call."""
        match event:
            case CallChanged():
                self.state, self.status, self.reason = event.state, event.status, event.reason
                self.stamps.setdefault(event.state, event.monotonic_ns)
            case MediaChanged():
                self.hears = event.active
                if event.active:
                    self.stamps.setdefault("audio", event.monotonic_ns)
            case DigitHeard():
                self.digits.append(event)
        self._notes.set()

    def lose(self) -> None:
        """The process is gone, and the call with it."""
        if not self.ended:
            self.state, self.reason = "ended", "the software phones ended"
        self._notes.set()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state == "ended"

    async def answer(self, status: int = _SUCCESS) -> None:
        """Answer: 180 rings, 200 takes it, 486 and others refuse."""
        await self._phones.ask(lambda number: Answer(number=number, call=self.name, status=status), Done)

    async def answered(self, within_seconds: float) -> None:
        """Return when it stands and audio can flow. SoftphoneError when it ends before, TimeoutError when neither comes."""
        await self.until(lambda: self.ended or (self.state == "confirmed" and self.hears), within_seconds)
        if self.ended:
            raise SoftphoneError(f"The call was not answered: {self.status} {self.reason}.")

    async def until(self, condition: Callable[[], bool], within_seconds: float) -> None:
        """Return when the condition holds, which is asked whenever something is told of this call. TimeoutError."""
        async with asyncio.timeout(within_seconds):
            while not condition():
                self._notes.clear()
                await self._notes.wait()

    async def play(self, file: Path, *, loop: bool = False, timed: bool = False) -> None:
        """Speak a WAV file, at once or from when audio flows; with `timed`, `quiet` tells when each frame was taken."""
        await self._phones.ask(
            lambda number: Play(number=number, call=self.name, file=str(file), loop=loop, timed=timed),
            Done,
        )

    async def record(self, file: Path, *, own_voice: bool = False) -> None:
        """Keep what is heard, at once or from when audio flows; with `own_voice` what is played too. `quiet` closes the file."""
        await self._phones.ask(
            lambda number: Record(number=number, call=self.name, file=str(file), own_voice=own_voice),
            Done,
        )

    async def quiet(self) -> Anchors:
        """Stop playing and recording, close the files."""
        return await self._phones.ask(lambda number: Quiet(number=number, call=self.name), Anchors)

    async def send_digits(self, digits: str) -> None:
        """Send telephone events (RFC 4733); returns at once, a digit takes about 0.2 s."""
        await self._phones.ask(lambda number: SendDigits(number=number, call=self.name, digits=digits), Done)

    async def statistics(self) -> Statistics:
        """What is known of the stream now."""
        return await self._phones.ask(lambda number: Measure(number=number, call=self.name), Statistics)

    async def hang_up(self) -> None:
        """End it, and return when it has ended."""
        if self.ended:
            return
        with contextlib.suppress(SoftphoneError):  # it ended meanwhile
            await self._phones.ask(lambda number: HangUp(number=number, call=self.name), Done)
        await self.until(lambda: self.ended, REPLY_SECONDS)
