"""The daemon of a lab: how it is started, when it serves, and a supervisor that starts it again (as systemd would).

Run as a program (`python -m hwtest.lab.daemon D [COMMAND ...]`) it is the supervisor: of the lab's daemon, or of another command.
"""

import sys
from pathlib import Path

import msgspec

from edge.core import facts
from edge.ledger.store import open_reader
from edge.liveness import daemon_pid
from edge.ports import LedgerError
from hwtest.lab import processes
from hwtest.lab.contract import Lab
from hwtest.lab.processes import ProcessIdentity
from hwtest.lab.supervisor import UNIT, Contract, Supervisor


def command(directory: Path) -> tuple[str, ...]:
    """How the daemon of this lab is started."""
    return (sys.executable, "-m", "edge", "--config", str(directory / "edge101.toml"), "run")


def mi_command(directory: Path) -> tuple[str, ...]:
    """How `edge mi` of this lab is started."""
    return (*command(directory)[:-1], "mi")


def reserve_command(directory: Path) -> tuple[str, ...]:
    """How a daemon is started that waits in reserve while another serves; whichever of the two serves."""
    return (*command(directory), "--reserve")


def supervisor_command(directory: Path) -> tuple[str, ...]:
    """How the supervisor of this lab is started."""
    return (sys.executable, "-m", "hwtest.lab.daemon", str(directory))


def with_process(lab: Lab, name: str, process: ProcessIdentity) -> Lab:
    """The description of the lab with this process as its `name`."""
    pids = msgspec.structs.replace(lab.pids, **{name: process.pid})
    ticks = {**lab.started_ticks, name: process.started_ticks}
    return msgspec.structs.replace(lab, pids=pids, started_ticks=ticks)


def second_supervisor_command(directory: Path) -> tuple[str, ...]:
    """How the supervisor of the other of the two is started, by that of the first."""
    return (*supervisor_command(directory), *reserve_command(directory))


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


def rescue_command(directory: Path) -> tuple[str, ...]:
    """What runs when the daemon is down for good."""
    return (*command(directory)[:-1], "rescue")


def supervise(directory: Path, other: tuple[str, ...] = ()) -> int:
    """Keeps the daemon and another in reserve (or the `other` command alone) running by their unit's contract, until told to stop
    (SIGTERM) or until the configuration is refused to both: the other may serve by the one before, as under systemd."""

    def tell(pid: int) -> None:
        lab = Lab.read(directory)
        if lab is not None and daemon_pid(lab.ledger) in (None, pid):  # otherwise it is in reserve
            with_process(lab, "edge", ProcessIdentity.of(pid)).write()

    supervisor = Supervisor(
        Contract.of_unit(UNIT),
        other or reserve_command(directory),
        directory / "log/edge.log",
        tell,
        rescue_command(directory),
    )
    if other:
        return supervisor.run()
    second = processes.start(second_supervisor_command(directory), directory / "log/supervisor.log")
    identity = ProcessIdentity.of(second.pid)
    try:
        status = supervisor.run()
        second.wait()
        return status
    finally:
        identity.stop(10)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), tuple(sys.argv[2:])))
