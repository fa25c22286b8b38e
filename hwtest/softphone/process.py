"""The process of a set of software phones: `python -m hwtest.softphone.process`, driven by `hwtest.softphone.phone`.

PJSUA2 allows one set in a process, wants all calls from the thread that pumps its events, and ends the interpreter when
objects go in the wrong order: so it has a process of its own, whose end harms nobody. There is no sound card, and no audio
frame passes through Python.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import msgspec
import pjsua2 as pj

from hwtest.softphone.messages import (
    Address,
    Anchors,
    Answer,
    Begin,
    Broken,
    CallChanged,
    CallerComes,
    Command,
    Dial,
    DigitHeard,
    Direction,
    Done,
    End,
    Event,
    Failed,
    Granted,
    HangUp,
    JitterBuffer,
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
    Spread,
    Statistics,
    Value,
)

CLOCK_HZ = 8000
_PUMP_MS = 5
_PUMP_TIMED_MS = 1
_GOODBYE_SECONDS = 1.0
_CLOSE_SECONDS = 2.0
_STATES = {
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_EARLY: "ringing",
    pj.PJSIP_INV_STATE_CONNECTING: "connecting",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "ended",
}


class _Says(Protocol):
    def __call__(self, event: Event) -> None: ...


Callback = TypeVar("Callback", bound=Callable[..., None])


def _told(callback: Callback) -> Callback:
    """A callback whose failure ends the process and is told: PJSUA2 would print and forget it."""

    @functools.wraps(callback)
    def careful(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:  # noqa: BLE001 - whatever it is, it is told
            traceback.print_exc()
            os._exit(1)

    return cast("Callback", careful)


def _legible(text: str) -> str:
    """What a stranger sent, as text: bytes that are no UTF-8 come as lone surrogates, which no line of JSON may hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class NotPossibleError(Exception):
    """A command that cannot be carried out; the message says why."""


class _Call(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """One call, kept until it has ended: PJSUA2 hangs up what nobody refers to."""

    def __init__(self, account: _Account, name: str, say: _Says, number: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, number)
        self.name = name
        self.phone = account
        self.ended = False
        self.player: pj.AudioMediaPlayer | None = None
        self.recorder: pj.AudioMediaRecorder | None = None
        self.recording: Path | None = None
        self.own_voice = False
        self.timed = False
        self.anchors = Anchors(samples=[], monotonic_ns=[])
        self._say = say

    @property
    def audio(self) -> pj.AudioMedia:
        """The call's place on the bridge."""
        info = self.getInfo()  # kept: what it lists lives as long as it does
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                return self.getAudioMedia(media.index)
        raise NotPossibleError("no audio flows in this call")

    @_told
    def onCallState(self, prm: Any) -> None:  # noqa: ARG002, N802 - PJSUA2's
        """Its state changed."""
        now, info = time.monotonic_ns(), self.getInfo()
        state = _STATES.get(info.state)
        if state is None:
            return
        self.ended = state == "ended"
        change = CallChanged(
            call=self.name,
            state=state,
            status=int(info.lastStatusCode),
            reason=_legible(info.lastReason),
            monotonic_ns=now,
        )
        self._say(change)

    @_told
    def onCallMediaState(self, prm: Any) -> None:  # noqa: ARG002, N802 - PJSUA2's
        """Audio flows or not; what was connected has to be connected again."""
        now = time.monotonic_ns()
        active = bool(self._audio_if_any())
        if active:
            self.connect()
        self._say(MediaChanged(call=self.name, active=active, monotonic_ns=now))

    @_told
    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's
        """A digit came."""
        heard = DigitHeard(
            call=self.name,
            digit=_legible(prm.digit),
            monotonic_ns=time.monotonic_ns(),
        )
        self._say(heard)

    @_told
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's
        """The far end asks for a call to somebody else (REFER). PJSUA2 would place it, and nobody would ask the interlock."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    @_told
    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's
        """Somebody wants to take this call over (RFC 3891). What is measured stays between those who began it."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def onCallRedirected(self, prm: Any) -> int:  # noqa: ARG002, N802 - PJSUA2's
        """Another address is given (3xx). It is not called, and the call ends with that answer: PJSUA2 would say 487."""
        return int(pj.PJSIP_REDIRECT_REJECT)

    def connect(self) -> None:
        """Player to call, call to recorder, and player to recorder for the own voice; once audio flows."""
        if not (there := self._audio_if_any()):
            return
        audio = there[0]
        if self.player is not None:
            self.player.startTransmit(audio)
        if self.recorder is not None:
            audio.startTransmit(self.recorder)
        if self.player is not None and self.recorder is not None and self.own_voice:
            self.player.startTransmit(self.recorder)

    def note_position(self) -> None:
        """When the player has taken another frame since the last time, note when."""
        if self.player is None or not self.timed:
            return
        position, now = int(self.player.getPos()), time.monotonic_ns()
        if position and (not self.anchors.samples or position != self.anchors.samples[-1]):
            self.anchors.samples.append(position)
            self.anchors.monotonic_ns.append(now)

    def quiet(self) -> Anchors:
        """No player and no recorder any more."""
        if self.player is not None:
            for target in (
                *self._audio_if_any(),
                *([self.recorder] if self.recorder and self.own_voice else []),
            ):
                with contextlib.suppress(pj.Error):
                    self.player.stopTransmit(target)
        if self.recorder is not None:
            for audio in self._audio_if_any():
                with contextlib.suppress(pj.Error):
                    audio.stopTransmit(self.recorder)
        self.player = self.recorder = None
        self.timed = False
        anchors, self.anchors = self.anchors, Anchors(samples=[], monotonic_ns=[])
        return anchors

    def _audio_if_any(self) -> list[pj.AudioMedia]:
        with contextlib.suppress(pj.Error, NotPossibleError):
            return [self.audio]
        return []


@dataclass(frozen=True, slots=True)
class _Closing:
    """A recording that the audio clock's thread has still to close, before its file is whole."""

    number: int
    anchors: Anchors
    file: Path
    deadline: float

    @property
    def closed(self) -> bool:
        """Whether the length in its header is that of the file."""
        with self.file.open("rb") as file:
            header = file.read(8)
        return header[:4] == b"RIFF" and int.from_bytes(header[4:], "little") + 8 == self.file.stat().st_size

    @property
    def is_late(self) -> bool:
        """Whether that takes too long."""
        return time.monotonic() > self.deadline


class _Account(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    """One phone: an account on a UDP port of its own."""

    def __init__(self, name: str, phones: Phones) -> None:
        super().__init__()
        self.name = name
        self.host = ""
        self.transport = 0
        self.registering: int | None = None
        """Number of the command that waits for the registrar."""
        self._phones = phones

    @_told
    def onRegState(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's
        """The registrar answered."""
        if self.registering is not None:
            number, self.registering = self.registering, None
            value = Granted(
                seconds=max(0, int(prm.expiration)), status=int(prm.code), reason=_legible(prm.reason)
            )
            self._phones.say(Reply(number=number, value=value))

    @_told
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's
        """A caller comes."""
        now = time.monotonic_ns()
        call = self._phones.take(self, int(prm.callId))
        info = call.getInfo()
        self._phones.say(
            CallerComes(
                phone=self.name,
                call=call.name,
                call_id=_legible(info.callIdString),
                from_uri=_legible(info.remoteUri),
                monotonic_ns=now,
            )
        )


class Phones:
    """The set: one endpoint of PJSUA2 and everything that lives in it."""

    def __init__(self, settings: Settings, say: _Says) -> None:
        self.say = say
        self._settings = settings
        self._accounts: dict[str, _Account] = {}
        self._calls: dict[str, _Call] = {}
        self._closing: list[_Closing] = []
        self._placed = 0
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        self._endpoint.libInit(_configuration(settings))
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            self._endpoint.codecSetPriority(codec.codecId, _priority(codec.codecId, settings.codecs))

    @property
    def version(self) -> str:
        """PJSUA2's own."""
        return str(self._endpoint.libVersion().full)

    def pump(self) -> None:
        """Let PJSUA2 work for some milliseconds; ended calls are let go."""
        timed = [call for call in self._calls.values() if call.timed]
        self._endpoint.libHandleEvents(_PUMP_TIMED_MS if timed else _PUMP_MS)
        for call in timed:
            call.note_position()
        for closing in [closing for closing in self._closing if closing.closed or closing.is_late]:
            self._closing.remove(closing)
            late = Failed(reason=f"{closing.file} was not closed")
            self.say(Reply(number=closing.number, value=closing.anchors if closing.closed else late))
        for name in [name for name, call in self._calls.items() if call.ended]:
            self._calls[name].quiet()
            del self._calls[name]

    def take(self, account: _Account, number: int = pj.PJSUA_INVALID_ID) -> _Call:
        """A new call, by its name among ours from now on."""
        self._placed += 1
        call = _Call(account, f"call-{self._placed}", self.say, number)
        self._calls[call.name] = call
        return call

    def end(self) -> None:
        """Orderly, or a crash follows: media first, then calls, accounts, and the library."""
        for call in self._calls.values():
            call.quiet()
        self._endpoint.hangupAllCalls()
        until = time.monotonic() + _GOODBYE_SECONDS
        while self._calls and time.monotonic() < until:
            self.pump()
        self._calls.clear()
        for account in self._accounts.values():
            account.shutdown()
        self._accounts.clear()
        for _ in range(20):
            self._endpoint.libHandleEvents(_PUMP_MS)
        self._endpoint.libDestroy()

    # Commands

    def obey(self, command: Command) -> Value | None:
        """Do it; None when the answer comes later."""
        work = cast("Callable[[Command], Value | None]", getattr(self, f"_{type(command).__name__.lower()}"))
        return work(command)

    def _open(self, command: Open) -> Value:
        self._check(command.host)
        transport = pj.TransportConfig()
        transport.port = 0
        transport.boundAddress = command.host
        account = _Account(command.phone, self)
        account.host = command.host
        account.transport = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        account.create(_account(account, command.phone))
        self._accounts[command.phone] = account
        info = self._endpoint.transportGetInfo(account.transport)
        host, _, port = info.localName.rpartition(":")
        return Address(host=host, port=int(port))

    def _register(self, command: Register) -> None:
        account = self._phone(command.phone)
        self._check(command.registrar.partition(":")[0])
        account.registering = command.number
        if command.seconds == 0:
            account.setRegistration(False)
            return
        configuration = _account(account, command.user, command.registrar)
        configuration.regConfig.registrarUri = f"sip:{command.registrar}"
        configuration.regConfig.timeoutSec = command.seconds
        configuration.regConfig.retryIntervalSec = 2
        _add_credentials(configuration, command.user, command.password)
        account.modify(configuration)

    def _dial(self, command: Dial) -> Value:
        account = self._phone(command.phone)
        self._check(command.uri.partition("@")[2].partition(";")[0].partition(":")[0])
        if not account.getInfo().regIsConfigured:
            configuration = _account(account, command.from_user)
            if command.password:
                _add_credentials(configuration, command.from_user, command.password)
            account.modify(configuration)
        call = self.take(account)
        try:
            call.makeCall(command.uri, pj.CallOpParam(True))
        except pj.Error:
            del self._calls[call.name]
            raise
        return Name(call=call.name, call_id=call.getInfo().callIdString)

    def _answer(self, command: Answer) -> Value:
        parameters = pj.CallOpParam()
        parameters.statusCode = command.status
        self._call(command.call).answer(parameters)
        return Done()

    def _hangup(self, command: HangUp) -> Value:
        call = self._call(command.call)
        call.quiet()
        call.hangup(pj.CallOpParam(True))
        return Done()

    def _play(self, command: Play) -> Value:
        call = self._call(command.call)
        if call.player is not None:
            raise NotPossibleError("something is played in this call already")
        player = pj.AudioMediaPlayer()
        player.createPlayer(command.file, 0 if command.loop else pj.PJMEDIA_FILE_NO_LOOP)
        call.player, call.timed = player, command.timed
        call.connect()
        return Done()

    def _record(self, command: Record) -> Value:
        call = self._call(command.call)
        if call.recorder is not None:
            raise NotPossibleError("this call is recorded already")
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(command.file)
        call.recording = Path(command.file)
        call.recording.chmod(0o600)
        call.recorder, call.own_voice = recorder, command.own_voice
        call.connect()
        return Done()

    def _quiet(self, command: Quiet) -> Value | None:
        call = self._call(command.call)
        recording = call.recording if call.recorder is not None else None
        anchors = call.quiet()
        if recording is None:
            return anchors
        self._closing.append(_Closing(command.number, anchors, recording, time.monotonic() + _CLOSE_SECONDS))
        return None

    def _senddigits(self, command: SendDigits) -> Value:
        self._call(command.call).dialDtmf(command.digits)
        return Done()

    def _measure(self, command: Measure) -> Value:
        call = self._call(command.call)
        stream, number = call.getStreamStat(0), call.getStreamInfo(0)
        rtcp, buffer = stream.rtcp, stream.jbuf
        return Statistics(
            codec=f"{number.codecName}/{number.codecClockRate}",
            local=call.getMedTransportInfo(0).localRtpName,
            remote=number.remoteRtpAddress,
            received=_direction(rtcp.rxStat),
            sent=_direction(rtcp.txStat),
            round_trip=_spread(rtcp.rttUsec),
            jitter_buffer=JitterBuffer(
                prefetch_frames=buffer.prefetch,
                least_prefetch_frames=buffer.minPrefetch,
                most_prefetch_frames=buffer.maxPrefetch,
                delay_mean_ms=buffer.avgDelayMsec,
                delay_most_ms=buffer.maxDelayMsec,
                lost_frames=buffer.lost,
                discarded_frames=buffer.discard,
                empty_frames=buffer.empty,
            ),
        )

    def _restartclock(self, command: RestartClock) -> Value:  # noqa: ARG002 - as the others
        manager = self._endpoint.audDevManager()
        manager.setNoDev()
        manager.setNullDev()
        return Done()

    def _phone(self, name: str) -> _Account:
        if name not in self._accounts:
            raise NotPossibleError(f"no phone {name!r} was opened")
        return self._accounts[name]

    def _call(self, name: str) -> _Call:
        if name not in self._calls:
            raise NotPossibleError(f"the call {name} has ended")
        return self._calls[name]

    def _check(self, host: str) -> None:
        """Nobody else is ever spoken to: the interlock of the last instance."""
        if host not in self._settings.allowed_hosts:
            raise NotPossibleError(
                f"{host!r} is none of the addresses that these phones may use ({', '.join(self._settings.allowed_hosts)})"
            )


def _configuration(settings: Settings) -> pj.EpConfig:
    configuration = pj.EpConfig()
    configuration.uaConfig.threadCnt = 0
    configuration.uaConfig.mainThreadOnly = True
    configuration.uaConfig.maxCalls = 64
    configuration.logConfig.level = configuration.logConfig.consoleLevel = 0  # its lines hold numbers
    media = configuration.medConfig
    media.clockRate = media.sndClockRate = CLOCK_HZ
    media.noVad = True
    media.ecTailLen = 0
    media.jbInit = media.jbMinPre = media.jbMaxPre = settings.jitter_buffer_ms
    media.jbMax = settings.jitter_buffer_most_ms
    media.sndAutoCloseTime = -1
    return configuration


def _priority(codec: str, wanted: tuple[str, ...]) -> int:
    name = codec.partition("/")[0]
    return 250 - wanted.index(name) if name in wanted else 0


def _account(account: _Account, user: str, domain: str | None = None) -> pj.AccountConfig:
    configuration = pj.AccountConfig()
    configuration.idUri = f"sip:{user}@{domain or account.host}"
    configuration.sipConfig.transportId = account.transport
    configuration.mediaConfig.transportConfig.boundAddress = account.host
    configuration.mediaConfig.transportConfig.port = _even_port(account.host)
    configuration.natConfig.iceEnabled = False
    configuration.natConfig.contactRewriteUse = 0
    configuration.natConfig.viaRewriteUse = False
    configuration.natConfig.sdpNatRewriteUse = False
    configuration.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
    return configuration


def _add_credentials(configuration: pj.AccountConfig, user: str, password: str) -> None:
    configuration.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))


def _even_port(host: str) -> int:
    """A free port from which PJSUA2 goes upwards: RTP has an even one, and the next is left to RTCP (RFC 3550 §11)."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as candidate:
            candidate.bind((host, 0))
            port = int(candidate.getsockname()[1])
        if port % 2 == 0:
            return port


def _spread(statistic: pj.MathStat) -> Spread | None:
    if statistic.n <= 0:
        return None
    return Spread(
        n=statistic.n,
        least=statistic.min / 1000,
        mean=statistic.mean / 1000,
        most=statistic.max / 1000,
        last=statistic.last / 1000,
    )


def _direction(statistic: pj.RtcpStreamStat) -> Direction:
    return Direction(
        packets=statistic.pkt,
        lost=statistic.loss,
        discarded=statistic.discard,
        repeated=statistic.dup,
        reordered=statistic.reorder,
        jitter=_spread(statistic.jitterUsec),
        reports=statistic.updateCount,
    )


# --- the process ------------------------------------------------------------------------------------------


class _Conversation:
    """Lines in and out. What C code prints on standard output must not come between them: that goes to standard error."""

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._input = sys.stdin.fileno()
        self._pending = b""
        self.over = False

    def say(self, event: Event) -> None:
        """One line out."""
        with contextlib.suppress(BrokenPipeError):
            self._output.write(msgspec.json.encode(event) + b"\n")

    def first(self) -> bytes:
        """The line that everything begins with."""
        while b"\n" not in self._pending and not self.over:
            self._read()
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def lines(self) -> list[bytes]:
        """The whole lines that have come; `over` when there will be no more."""
        while not self.over and select.select([self._input], [], [], 0)[0]:
            self._read()
        *whole, self._pending = self._pending.split(b"\n")
        return whole

    def _read(self) -> None:
        read = os.read(self._input, 65536)
        self.over = not read
        self._pending += read


def _obey(phones: Phones, line: bytes, say: _Says) -> bool:
    """Carry a command out; whether there are more to come."""
    command = msgspec.json.decode(line, type=Command)
    if isinstance(command, End):
        phones.end()
        say(Reply(number=command.number, value=Done()))
        return False
    value: Value | None
    try:
        value = phones.obey(command)
    except NotPossibleError as error:
        value = Failed(reason=str(error))
    except pj.Error as error:
        value = Failed(reason=f"{error.reason} (PJSUA2: {error.title})")
    if value is not None:
        say(Reply(number=command.number, value=value))
    return True


def main() -> None:
    """Begin with the first line's settings; carry out each line until the last, or until nobody speaks any more."""
    conversation = _Conversation()
    begin = msgspec.json.decode(conversation.first(), type=Begin)
    try:
        phones = Phones(begin.settings, conversation.say)
    except pj.Error as error:
        conversation.say(Broken(reason=f"{error.reason} (PJSUA2: {error.title})"))
        return
    conversation.say(Ready(version=phones.version, clock_hz=CLOCK_HZ))
    while not conversation.over:
        for line in conversation.lines():
            if not _obey(phones, line, conversation.say):
                return
        phones.pump()
    phones.end()


if __name__ == "__main__":
    main()
