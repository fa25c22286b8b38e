"""The loop's own watch: what the supervisor hears, and what becomes of a loop that hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.inputs import LedgerTrouble, LinkLost
from edge.errors import EXIT_HUNG
from edge.notify import Supervisor
from edge.selfwatch import HUNG_SECONDS, SelfWatch

HANG = """
from edge.notify import Supervisor
from edge.selfwatch import SelfWatch
watch = SelfWatch(Supervisor({}))
watch.beat()
def where_it_hangs():
    while True: pass
where_it_hangs()
"""
HANGS_WITH_A_SLOW_DISK = """
import time
from types import SimpleNamespace
from edge import selfwatch
from edge.notify import Supervisor
passed_seconds = 0.0
def leave(seconds_ago, is_hung):
    global passed_seconds
    passed_seconds += 2.0
selfwatch.time = SimpleNamespace(monotonic=lambda: time.monotonic() + passed_seconds)
watch = selfwatch.SelfWatch(Supervisor({}), leave)
watch.beat()
while True: pass
"""
GOES_ROUND = """
import time
from edge.notify import Supervisor
from edge.selfwatch import HUNG_SECONDS, SelfWatch
watch = SelfWatch(Supervisor({}))
end = time.monotonic() + 1.5 * HUNG_SECONDS
while time.monotonic() < end:
    watch.beat()
    time.sleep(0.1)
watch.close()
"""


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """The supervisor's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        yield listening


def heard(ear: socket.socket) -> str:
    """The next message."""
    return ear.recv(4096).decode()


def test_ready_then_pings_then_stopping(ear: socket.socket) -> None:
    """READY once with the first turn of the loop, a ping, what a person wants to know, and STOPPING."""
    watch = SelfWatch(Supervisor({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "8000000"}))
    watch.beat()
    watch.beat()
    watch.told(LinkLost(link="asterisk", error="x"))
    watch.told(LinkLost(link="asterisk", error="y"))
    watch.told(LedgerTrouble(ok=False, detail="disk"))
    watch.stopping()
    told = [heard(ear) for _ in range(5)]
    assert told[:2] == ["READY=1", "WATCHDOG=1"]
    assert [each.partition("=")[0] for each in told[2:]] == ["STATUS", "STATUS", "STOPPING"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "5000000"}, 5.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_period(environment: dict[str, str], seconds: float | None) -> None:
    """It counts for the process that it names, or for any."""
    assert Supervisor(environment).watchdog_seconds == seconds


def test_an_abstract_socket() -> None:
    """systemd's own address begins with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0edge101-test-{os.getpid()}")
        listening.settimeout(2)
        Supervisor({"NOTIFY_SOCKET": f"@edge101-test-{os.getpid()}"}).status("two\nlines")
        assert heard(listening) == "STATUS=two lines"


def test_nobody_who_listens_holds_nothing_up(tmp_path: Path) -> None:
    """Without a supervisor, and with a socket that is gone, nothing is raised."""
    Supervisor({}).ready()
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_a_supervisor_that_does_not_read_holds_nothing_up(ear: socket.socket) -> None:
    """Its buffer full, a ping is given up within a moment."""
    supervisor = Supervisor({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "1000000"})
    began = time.monotonic()
    for _ in range(50):
        supervisor.alive()
    assert time.monotonic() - began < 5


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A process with this loop."""
    return subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=False, timeout=30
    )


def test_a_loop_that_hangs_ends_the_process() -> None:
    """With a status of its own, soon, saying where it hung."""
    began = time.monotonic()
    ended = run(HANG)
    assert (ended.returncode, "where_it_hangs" in ended.stderr) == (EXIT_HUNG, True)
    assert time.monotonic() - began < HUNG_SECONDS + 3


def test_a_loop_that_hangs_ends_although_the_sign_of_life_is_written_slowly() -> None:
    """Two seconds for each: no standstill of the machine, which would give the loop its time anew."""
    assert run(HANGS_WITH_A_SLOW_DISK).returncode == EXIT_HUNG


def test_a_loop_that_goes_round_is_left_alone() -> None:
    """However long."""
    assert run(GOES_ROUND).returncode == 0
