"""Processes that outlive the command that started them, found again later without mistaking another for them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessIdentity:
    """A process by its id and start time: the id alone may be given to another after its end."""

    pid: int
    started_ticks: int
    """Kernel ticks from boot to its start (proc(5), stat, field 22)."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this id now."""
        return cls(pid, _state_and_start(pid)[1])

    @property
    def running(self) -> bool:
        """Whether it lives (a zombie does not)."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # if it is our child, so that it does not stay a zombie
        state, started_ticks = _state_and_start(self.pid)
        return state not in "ZX" and started_ticks == self.started_ticks

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process lives."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended_within(self, seconds: float) -> bool:
        """Waits for its end; True when it has come."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return not self.running

    def stop(self, within_seconds: float) -> None:
        """Ends it: asked first (SIGTERM), by force after `within_seconds`."""
        self.signal(signal.SIGCONT)  # an experiment may have stopped it
        self.signal(signal.SIGTERM)
        if not self.ended_within(within_seconds):
            self.signal(signal.SIGKILL)
            self.ended_within(within_seconds)


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own, so that the terminal's Ctrl-C does not reach it; output goes to `log`.

    `environment`: beside what we have ourselves.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )


def running(command: Sequence[str]) -> list[ProcessIdentity]:
    """Every process of this user that was started by exactly this command, whoever started it."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in command)
    return [
        identity
        for folder in Path("/proc").glob("[0-9]*")
        if _command_line(folder) == wanted and (identity := ProcessIdentity.of(int(folder.name))).running
    ]


def _command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes() if folder.stat().st_uid == os.getuid() else b""
    except OSError:  # ended meanwhile, or not ours to read
        return b""


def _state_and_start(pid: int) -> tuple[str, int]:
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[19])
