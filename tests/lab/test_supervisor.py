"""The lab's supervisor keeps the unit's contract: real processes, short times."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwtest.lab.supervisor import UNIT, Contract, Supervisor

QUICK = Contract(
    watchdog_seconds=0.5,
    abort_seconds=0.3,
    start_seconds=5.0,
    stop_seconds=2.0,
    restart_seconds=0.1,
    never_after=frozenset({78}),
)
SERVICE = """
import os, signal, socket, sys, time
from pathlib import Path
folder, lives = Path(sys.argv[1]), sys.argv[2].split()
count = len(list(folder.glob("life-*")))
(folder / f"life-{count}").touch()
life = lives[count]
address = os.environ["NOTIFY_SOCKET"]
link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
link.connect("\\0" + address[1:])
if life.isdigit():
    link.send(b"READY=1")
    sys.exit(int(life))
signal.signal(signal.SIGABRT, lambda *_: ((folder / f"aborted-{count}").touch(), os._exit(6)))
if life == "never-ready":
    time.sleep(60)
link.send(b"READY=1\\nSTATUS=here")
if life == "pings":
    for _ in range(10):
        link.send(b"WATCHDOG=1")
        time.sleep(0.1)
    sys.exit(78)
if life == "child-pings":
    if os.fork() == 0:
        for _ in range(15):
            link.send(b"WATCHDOG=1")
            time.sleep(0.1)
        os._exit(0)
    time.sleep(60)
if life == "stops":
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(60)
"""
"""A service whose lives go as they are told: an exit status, or a way to hang."""


def refused(program: str) -> str:
    """Run it in a process of its own, until it ends as one whose configuration is refused; what it said."""
    run = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 78, run.stderr
    return run.stderr


def supervise(
    folder: Path, lives: str, contract: Contract = QUICK, *, on_failure: tuple[str, ...] = ()
) -> str:
    """Run it in a process of its own (it takes SIGTERM for itself); what it said."""
    program = folder / "service.py"
    program.write_text(SERVICE)
    runner = (
        "import sys; from pathlib import Path; from hwtest.lab.supervisor import Contract, Supervisor\n"
        f"contract = {contract!r}\n"
        f"sys.exit(Supervisor(contract, {(sys.executable, str(program), str(folder), lives)!r}, "
        f"Path({str(folder / 'log')!r}), on_failure={on_failure!r}).run())"
    )
    return refused(runner)


def test_started_again_until_the_configuration_is_refused(tmp_path: Path) -> None:
    """Any status but 78, an orderly end too; then what is to be done on failure."""
    done = tmp_path / "rescued"
    said = supervise(tmp_path, "0 75 70 78", on_failure=("touch", str(done)))
    assert [line.split(" ", 1)[1] for line in said.splitlines() if "ended" in line] == [
        "ended with 0: again in 0.1 s",
        "ended with 75: again in 0.1 s",
        "ended with 70: again in 0.1 s",
        "ended with 78: not started again",
    ]
    assert done.exists()


def test_pings_keep_it_alive(tmp_path: Path) -> None:
    """Twice as long as the watchdog's period."""
    assert "aborted" not in supervise(tmp_path, "pings")


@pytest.mark.parametrize("how", ["silent", "child-pings"])
def test_silence_is_aborted(tmp_path: Path, how: str) -> None:
    """SIGABRT first, so that it can say where it stands; pings of another process are not its own."""
    said = supervise(tmp_path, f"{how} 78")
    assert ("silent for more than 0.5 s" in said, (tmp_path / "aborted-0").exists()) == (True, True)


def test_a_stopped_process_is_killed(tmp_path: Path) -> None:
    """No signal but SIGKILL reaches it."""
    began = time.monotonic()
    said = supervise(tmp_path, "stops 78")
    assert ("ended with -9" in said, (tmp_path / "aborted-0").exists()) == (True, False)
    assert time.monotonic() - began < 5


def test_one_that_never_becomes_ready_is_ended(tmp_path: Path) -> None:
    """Within the time for starting."""
    impatient = Contract(
        watchdog_seconds=0.5, abort_seconds=0.3, start_seconds=1.0, stop_seconds=1.0, restart_seconds=0.1,
        never_after=frozenset({78}),
    )  # fmt: skip
    assert "silent for more than 1 s" in supervise(tmp_path, "never-ready 78", impatient)


def test_the_unit_has_what_is_needed() -> None:
    """The lab reads the unit that an appliance gets."""
    contract = Contract.of_unit(UNIT)
    assert contract.watchdog_seconds > 0
    assert Supervisor(contract, (), Path("log")) is not None


OTHER = """
import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def told(*_):
    (folder / "told to end").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
while not (folder / "rescued").exists():
    time.sleep(0.02)
time.sleep(1)
(folder / "served on").touch()
sys.exit(78)
"""
"""The supervisor of the other daemon, which serves for a second after nothing starts the first again."""


def test_the_other_daemon_serves_on_when_the_first_is_not_started_again(tmp_path: Path) -> None:
    """A configuration that was broken is refused to who starts with it, and not to who serves by the one before."""
    other = tmp_path / "other.py"
    other.write_text(OTHER)
    runner = (
        "import sys; from pathlib import Path; from hwtest.lab import daemon\n"
        "daemon.reserve_command = lambda _: (sys.executable, '-c', 'import sys; sys.exit(78)')\n"
        f"daemon.rescue_command = lambda _: ('touch', {str(tmp_path / 'rescued')!r})\n"
        f"daemon.second_supervisor_command = lambda _: (sys.executable, {str(other)!r}, {str(tmp_path)!r})\n"
        f"sys.exit(daemon.supervise(Path({str(tmp_path)!r})))"
    )
    refused(runner)
    assert (tmp_path / "served on").exists()
    assert not (tmp_path / "told to end").exists()
