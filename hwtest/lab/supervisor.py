"""Keeps the contract that systemd keeps with the daemon, where systemd is not init: labs and tests.

Type=notify, WatchdogSec, TimeoutAbortSec, TimeoutStartSec, TimeoutStopSec, Restart=always, RestartSec,
RestartPreventExitStatus and OnFailure=, with the values of the unit itself, so that the lab cannot promise what the
appliance does not keep.
"""

import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwtest.lab import processes

UNIT = Path(__file__).parents[2] / "systemd/edge101.service"
_POLL_SECONDS = 0.05
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SCM_CREDENTIALS


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the supervisor keeps to. A watchdog of 0 is none."""

    watchdog_seconds: float
    abort_seconds: float
    start_seconds: float
    stop_seconds: float
    restart_seconds: float
    never_after: frozenset[int]
    """Exit statuses after which nothing is started again."""

    @classmethod
    def of_unit(cls, unit: Path) -> Self:
        """As the unit file has it. Raises KeyError for what it does not have."""
        lines = (line.partition("=") for line in unit.read_text(encoding="utf-8").splitlines())
        given = {key: value.strip() for key, _, value in lines if key and key[0].isalpha()}
        return cls(
            watchdog_seconds=float(given["WatchdogSec"]),
            abort_seconds=float(given["TimeoutAbortSec"]),
            start_seconds=float(given["TimeoutStartSec"]),
            stop_seconds=float(given["TimeoutStopSec"]),
            restart_seconds=float(given["RestartSec"]),
            never_after=frozenset(map(int, given["RestartPreventExitStatus"].split())),
        )


class Supervisor:
    """Runs one command over and over."""

    def __init__(
        self,
        contract: Contract,
        command: Sequence[str],
        log: Path,
        started: Callable[[int], None] = lambda _: None,
        on_failure: Sequence[str] = (),
    ) -> None:
        """`started` is told each process id, at its start and whenever the process says how it is; `on_failure` runs when nothing
        is started again."""
        self._contract = contract
        self._command = command
        self._log = log
        self._started = started
        self._on_failure = on_failure

    def run(self) -> int:
        """Until told to stop (SIGTERM raises SystemExit in here), or an exit status after which nothing is started again."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            status = self._once()
            if status in self._contract.never_after:
                _say(f"ended with {status}: not started again")
                if self._on_failure:
                    processes.start(self._on_failure, self._log).wait()
                return status
            _say(f"ended with {status}: again in {self._contract.restart_seconds:g} s")
            time.sleep(self._contract.restart_seconds)

    def _once(self) -> int:
        """One life. Returns how it ended: an exit status, or the signal's number negative."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            name = f"edge101-lab-{os.getpid()}-{secrets.token_hex(4)}"
            ear.bind(f"\0{name}")
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            ear.setblocking(False)
            environment = {"NOTIFY_SOCKET": f"@{name}"}
            if self._contract.watchdog_seconds:
                environment["WATCHDOG_USEC"] = str(round(self._contract.watchdog_seconds * 1_000_000))
            process = processes.start(self._command, self._log, environment)
            end = os.pidfd_open(process.pid)
            try:
                self._started(process.pid)
                return self._watch(process, ear, end)
            finally:
                self._stop(process)
                os.close(end)

    def _watch(self, process: subprocess.Popen[bytes], ear: socket.socket, end: int) -> int:
        """Until its end, of which `end` tells at once (pidfd_open(2))."""
        patience = self._contract.start_seconds
        heard_at, is_ready = time.monotonic(), False
        while process.poll() is None:
            select.select([ear.fileno(), end], [], [], _POLL_SECONDS)
            told = _hear(ear, process.pid)
            if "READY=1" in told and not is_ready:
                is_ready, patience = True, self._contract.watchdog_seconds
                heard_at = time.monotonic()
                _say(f"pid {process.pid} is ready")
            if "WATCHDOG=1" in told:
                heard_at = time.monotonic()
            for word in told:
                if word.startswith("STATUS="):
                    _say(word.removeprefix("STATUS="))
                    self._started(process.pid)
            if patience and time.monotonic() - heard_at > patience:
                _say(f"silent for more than {patience:g} s: aborted")
                _end(process, signal.SIGABRT, self._contract.abort_seconds)
        return process.returncode

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            _end(process, signal.SIGTERM, self._contract.stop_seconds)


def _hear(ear: socket.socket, pid: int) -> list[str]:
    """The lines of the next message of this process, if there is one; nobody else is listened to (NotifyAccess=main)."""
    try:
        data, ancillary, _, _ = ear.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    except BlockingIOError:
        return []
    senders = [
        _CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0]
        for level, kind, value in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
    ]
    return data.decode("utf-8", "replace").splitlines() if senders == [pid] else []


def _end(process: subprocess.Popen[bytes], number: signal.Signals, within_seconds: float) -> None:
    """Ask with a signal, then end by force: SIGKILL ends a stopped process too."""
    process.send_signal(number)
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}\n")
    sys.stderr.flush()
