"""Traffic by SIPp: the interlock before the first call, a process with a limit, its counters and raw output afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import islice
from pathlib import Path

from hwtest.bench.numbers import caller_numbers
from hwtest.lab.apt import LabError
from hwtest.lab.contract import Address
from hwtest.probes.contract import NotMeasuredError
from hwtest.probes.sheet import Sheet
from hwtest.sipp import counters
from hwtest.sipp.counters import Counters, CountersError
from hwtest.sipp.program import PACKAGE, Program, obtain
from hwtest.site import Site

SHORT_CALL, QUEUE_CALLER, AGENT, REGISTER = "uac_short_call", "uac_queue_caller", "uas_agent", "uac_register"
STOP_SECONDS = 5.0
_GRACE_SECONDS = 5.0
"""SIPp ends itself by its own limit; so much later it is ended by us."""
_COUNTED_WITHIN_SECONDS = 1.2
_TIMED_OUT, _COUNTED = 97, (0, 1, 97, 99)
"""Exit statuses: 0 all went well, 1 a call failed, 97 its limit, 99 nothing was done; anything else is a fault of SIPp."""


_TOLD = {
    "csv": "SIPp's counters, a line a second",
    "log": "every message that SIPp sent and received, in short",
    "err": "what SIPp did not expect",
    "out": "SIPp's screen at its end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What SIPp is to do."""

    scenario: str
    calls: int | None
    """How many; None: as many as come (a scenario that is called), until it is stopped."""
    number: str = ""
    """What is dialled; it is checked by the interlock."""
    rate: float = 10.0
    """Calls per second that are offered, whether earlier ones were answered or not."""
    at_once: int | None = None
    """No more calls than so many at a time: a new one begins when another has ended. None: no limit (open loop)."""
    stay_seconds: float = 0.0
    """So long a caller of `uac_short_call` stays."""
    patience_seconds: float = 60.0
    """So long SIPp waits for any message, the release of a waiting caller included."""
    limit_seconds: float = 60.0
    """Of the whole run."""
    lines: Sequence[str] = ()
    """Of the injection file, one for each call; empty: callers with numbers of their own that are nobody's."""
    keys: dict[str, str] = field(default_factory=dict)
    target: Address | None = None
    """Where it goes; None: to the switch."""
    port: int | None = None
    """SIPp's own UDP port; None: any that is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    counters: Counters
    exit_status: int | None
    """None: it had to be killed."""
    timed_out: bool
    asked: int | None

    @property
    def trouble(self) -> str | None:
        """Why its counters do not tell of the target but of SIPp itself; None where they can be believed."""
        if self.exit_status is None or self.exit_status not in _COUNTED:
            return f"SIPp itself failed (status {self.exit_status})"
        if self.counters.fatal_errors:
            return f"SIPp counted {self.counters.fatal_errors} fatal errors of its own"
        if self.counters.watchdog:
            return f"SIPp was late by more than 3 s, {self.counters.watchdog} times: this machine was too busy to offer the load"
        return None

    @property
    def unfinished(self) -> int:
        """Calls that were to be made and neither succeeded nor failed."""
        done = self.counters.successful + self.counters.failed
        return max(self.asked if self.asked is not None else self.counters.created, done) - done


class Running:
    """SIPp while it runs."""

    def __init__(
        self, process: asyncio.subprocess.Process, traffic: Traffic, files: dict[str, Path], port: int
    ) -> None:
        self.port = port
        """Its own UDP port: what has this as its source on the wire is a caller (or phone) of this run."""
        self._process = process
        self._traffic = traffic
        self._files = files
        self._killed = False

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.returncode is None

    async def so_far(self) -> Counters:
        """What it has counted until now, a second ago at the most. NotMeasuredError when it does not count."""
        await asyncio.sleep(_COUNTED_WITHIN_SECONDS)
        whole = self._files["csv"].read_text(encoding="utf-8", errors="replace").rpartition("\n")[0]
        try:
            return counters.read(whole)
        except CountersError as error:
            raise NotMeasuredError(str(error), "hwtest run meter.timing") from None

    async def ended(self) -> Outcome:
        """Wait for its end. NotMeasuredError when its counters cannot be read."""
        try:
            async with asyncio.timeout(self._traffic.limit_seconds + _GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self._kill()
        return self._outcome()

    async def stop(self) -> Outcome:
        """No new calls; those in progress are ended by BYE or CANCEL, and SIPp counts them as failed (see `so_far`)."""
        for _ in range(2):  # the first ends calling, the second the calls
            if self.running:
                self._process.send_signal(signal.SIGUSR1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._process.wait()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self._kill()
        return self._outcome()

    async def _kill(self) -> None:
        if self.running:
            self._killed = True
            self._process.kill()
            await self._process.wait()

    def _outcome(self) -> Outcome:
        try:
            counted = counters.read(self._files["csv"].read_text(encoding="utf-8", errors="replace"))
        except CountersError as error:
            said = _last_line(self._files["out"]) or _last_line(self._files["err"])
            raise NotMeasuredError(f"{error}; SIPp said: {said or 'nothing'}", "hwtest doctor") from None
        status = self._process.returncode
        return Outcome(
            counters=counted,
            exit_status=None if self._killed else status,
            timed_out=self._killed or status == _TIMED_OUT,
            asked=self._traffic.calls,
        )


async def program(site: Site) -> Program:
    """SIPp, fetched the first time. NotMeasuredError where it cannot be had."""
    site.say("looking for SIPp")
    try:
        return await asyncio.to_thread(obtain)
    except LabError as error:
        raise NotMeasuredError(f"SIPp is not there: {error}", f"sudo apt-get install {PACKAGE}") from None


@asynccontextmanager
async def load(site: Site, sheet: Sheet, name: str, traffic: Traffic) -> AsyncIterator[Running]:
    """Load; refused by the interlock but for a lab and `--lab`. Leaving the block ends the calls that are left."""
    site.interlock.admit_harm(sheet.probe.name)
    if traffic.number:
        site.interlock.check(traffic.number)
    async with _play(site, sheet, name, traffic) as running:
        yield running


@asynccontextmanager
async def one_call(site: Site, sheet: Sheet, name: str, traffic: Traffic) -> AsyncIterator[Running]:
    """One call to one number, also on a live target; the interlock paces it and may refuse it."""
    if traffic.calls != 1:
        raise ValueError("this is for one call; more are load")
    async with (
        site.interlock.call(traffic.number) as allowed,
        _play(site, sheet, name, replace(traffic, number=allowed), add=True) as running,
    ):
        yield running


@asynccontextmanager
async def _play(
    site: Site, sheet: Sheet, name: str, traffic: Traffic, *, add: bool = False
) -> AsyncIterator[Running]:
    """`add`: what it writes is added to the files of earlier runs of that name."""
    sipp = await program(site)
    now = f"{name}-now" if add else name
    files = {ending: site.file(f"sipp-{now}.{ending}") for ending in ("csv", "out", "err", "log", "inf")}
    scenario = resources.files("hwtest.sipp").joinpath("scenarios", f"{traffic.scenario}.xml")
    with _sink(site.target.local_address) as audio_port, resources.as_file(scenario) as path:
        files["inf"].write_text("\n".join(["SEQUENTIAL", *_lines(traffic)]) + "\n", encoding="utf-8")
        port = traffic.port or _free_port(site.target.local_address)
        arguments = _arguments(site, traffic, path, files, port, audio_port)
        with files["out"].open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *sipp.command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=site.folder,
                start_new_session=True,  # the terminal's Ctrl-C is for us alone: we end its calls by BYE
            )
        running = Running(process, traffic, files, port)
        try:
            yield running
        finally:
            if running.running:
                with contextlib.suppress(NotMeasuredError):
                    await asyncio.shield(running.stop())
            files["inf"].unlink(missing_ok=True)  # it may hold passwords
            _keep(sheet, name, files)


def _keep(sheet: Sheet, name: str, files: dict[str, Path]) -> None:
    known = {artefact.file for artefact in sheet.artefacts}
    for ending, content in _TOLD.items():
        file = files[ending]
        final = file.with_name(f"sipp-{name}.{ending}")
        if file != final:
            final.touch(mode=0o600)
            with final.open("ab") as whole:
                whole.write(file.read_bytes())
            file.unlink()
        if not final.stat().st_size:
            final.unlink()
        elif final.name not in known:
            sheet.artefact(final.name, f"{content} ({name})")


def _arguments(
    site: Site, traffic: Traffic, scenario: Path, files: dict[str, Path], port: int, audio_port: int
) -> list[str]:
    place, own = traffic.target or site.target.sip, site.target.local_address
    options = {
        "-sf": scenario,
        "-i": own,
        "-p": port,
        "-mi": own,
        "-r": f"{traffic.rate:g}" if traffic.rate >= 1 else 1,
        "-rp": 1000 if traffic.rate >= 1 else round(1000 / traffic.rate),
        "-inf": files["inf"],
        "-stf": files["csv"],
        "-fd": 1,
        "-shortmessage_file": files["log"],
        "-error_file": files["err"],
        "-timeout": f"{traffic.limit_seconds:.0f}s",
        "-recv_timeout": round(1000 * traffic.patience_seconds),
        "-d": round(1000 * traffic.stay_seconds),
        # Without a limit of its own SIPp closes the loop: it would wait for the target instead of measuring it.
        "-l": traffic.at_once or max(traffic.calls or 0, 1000),
    }
    if traffic.number:
        options["-s"] = traffic.number
    if traffic.calls is not None:
        options["-m"] = traffic.calls
    words = [f"{place.host}:{place.port}", "-nostdin", "-timeout_error", "-trace_stat", "-trace_err"]
    words.append("-trace_shortmsg")
    for name, value in options.items():
        words += [name, str(value)]
    for key, value in {"audio_port": str(audio_port), **traffic.keys}.items():
        words += ["-key", key, value]
    return words


def _lines(traffic: Traffic) -> list[str]:
    return list(traffic.lines) or list(islice(caller_numbers(), traffic.calls or 1))


@contextlib.contextmanager
def _sink(address: str) -> Iterator[int]:
    """A port where audio for SIPp goes. Nobody reads it; a closed one would answer each packet with an ICMP of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sink.bind((address, 0))
        yield sink.getsockname()[1]


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind((address, 0))
        port: int = asked.getsockname()[1]
        return port


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.exists() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip(" -\t")), "")
