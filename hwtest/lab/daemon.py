"""The daemon of a lab: how it is started, when it serves, and a supervisor that starts it again (as systemd would).

Run as a program (`python -m hwtest.lab.daemon D`) it is the supervisor.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from edge.core import facts
from edge.errors import EXIT_CONFIGURATION
from edge.ledger.store import open_reader
from edge.ports import LedgerError
from hwtest.lab import processes
from hwtest.lab.contract import Lab
from hwtest.lab.processes import ProcessIdentity

RESTART_SECONDS = 0.3
"""systemd's RestartSec of the service."""
_STOP_SECONDS = 5.0


def command(directory: Path) -> tuple[str, ...]:
    """How the daemon of this lab is started."""
    return (sys.executable, "-m", "edge", "--config", str(directory / "edge101.toml"), "run")


def supervisor_command(directory: Path) -> tuple[str, ...]:
    """How the supervisor of this lab is started."""
    return (sys.executable, "-m", "hwtest.lab.daemon", str(directory))


def with_process(lab: Lab, name: str, process: ProcessIdentity) -> Lab:
    """The description of the lab with this process as its `name`."""
    pids = msgspec.structs.replace(lab.pids, **{name: process.pid})
    ticks = {**lab.started_ticks, name: process.started_ticks}
    return msgspec.structs.replace(lab, pids=pids, started_ticks=ticks)


def last_sequence(ledger: str) -> int:
    """Sequence of the newest fact; 0 for a ledger that is not there yet."""
    try:
        reader = open_reader(ledger)
    except LedgerError:
        return 0
    try:
        return reader.last_sequence()
    finally:
        reader.close()


def serves(ledger: str, after: int) -> bool:
    """Whether a daemon that started after this sequence sees the switch: its ledger says so."""
    try:
        reader = open_reader(ledger)
    except LedgerError:  # not there yet
        return False
    try:
        seen = [entry.fact for entry in reader.read(after)]
    except LedgerError:
        return False
    finally:
        reader.close()
    links = [fact for fact in seen if isinstance(fact, facts.SwitchRestored | facts.SwitchLost)]
    return bool(links) and isinstance(links[-1], facts.SwitchRestored)


def supervise(directory: Path) -> int:
    """Keeps the daemon running until told to stop (SIGTERM) or until it refuses its configuration."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # raises SystemExit wherever we wait
    while True:
        daemon = processes.start(command(directory), directory / "log/edge.log")
        try:
            _tell(directory, ProcessIdentity.of(daemon.pid))
            status = daemon.wait()
        finally:
            _end(daemon)
        if status == EXIT_CONFIGURATION:
            return status
        time.sleep(RESTART_SECONDS)


def _tell(directory: Path, process: ProcessIdentity) -> None:
    lab = Lab.read(directory)
    if lab is not None:
        with_process(lab, "edge", process).write()


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1])))
