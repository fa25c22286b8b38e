"""Daemons in reserve: real processes and the kernel's own lock."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.ledger import open_ledger
from edge.ledger.store import lock_ledger
from edge.liveness import daemon_pid, reserve_pids

DAEMON = """
import os, sys
from pathlib import Path
from edge.ledger.sqlite import WriterLock
from edge.notify import Supervisor
from edge.reserve import Reserve
reserve = Reserve(Supervisor.of_this_process())
lock = WriterLock(Path(sys.argv[1]), "ledger", reserve.wait)
print(reserve.waited, flush=True)
sys.stdin.read()
"""
"""Takes its turn, says whether it had to wait, and serves until its standard input ends."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts daemons on one ledger."""
    with contextlib.ExitStack() as stack:

        def started(**environment: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", DAEMON, str(tmp_path / "ledger.sqlite.lock")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"PATH": "/usr/bin:/bin", **environment},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


def said(process: subprocess.Popen[str]) -> str:
    """Its next line; waits for it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def until(holds: Callable[[], bool]) -> None:
    """Look again until it holds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_comes_first_serves_and_the_other_follows(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """kill -9 of the one that serves makes the other serve; `edge` knows who is which."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    first = start()
    assert said(first) == "False"
    second = start()
    until(lambda: reserve_pids(url) == [second.pid])
    assert daemon_pid(url) == first.pid
    first.send_signal(signal.SIGKILL)
    assert said(second) == "True"
    assert (daemon_pid(url), reserve_pids(url)) == (second.pid, [])


def test_of_two_in_reserve_one_serves(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    """The third goes on waiting behind the second."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    first = start()
    assert said(first) == "False"
    others = {process.pid: process for process in (start(), start())}
    until(lambda: sorted(reserve_pids(url)) == sorted(others))
    first.send_signal(signal.SIGKILL)
    until(lambda: daemon_pid(url) in others and len(reserve_pids(url)) == 1)
    serving, waiting = daemon_pid(url), reserve_pids(url)[0]
    assert serving != waiting
    assert said(others[serving or 0]) == "True"
    assert others[waiting].poll() is None


def test_a_stopped_daemon_keeps_its_turn(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    """SIGSTOP is no end: two would fight for callers when it goes on. Its supervisor ends it, and then the other's turn comes."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    first = start()
    assert said(first) == "False"
    second = start()
    until(lambda: reserve_pids(url) == [second.pid])
    first.send_signal(signal.SIGSTOP)
    assert daemon_pid(url) == first.pid
    first.send_signal(signal.SIGKILL)
    assert said(second) == "True"


def test_in_reserve_it_tells_the_supervisor_that_it_lives(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Ready, how it is, and the watchdog's pings: a unit that waits is no unit that hangs."""
    first = start()
    assert said(first) == "False"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(20)
        start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="5000000")
        heard = [ear.recv(200).decode() for _ in range(4)]
    assert heard == ["READY=1", "STATUS=in reserve: another daemon serves", "WATCHDOG=1", "WATCHDOG=1"]


def never(_: int) -> None:
    """Nobody else is there."""
    raise AssertionError("waited")


def test_a_ledger_is_opened_with_the_lock_that_is_held(tmp_path: Path) -> None:
    """Also where there is none yet; and it is let go with the ledger."""
    url = f"sqlite:///{tmp_path}/new/ledger.sqlite"
    for _ in range(2):
        lock = lock_ledger(url, never)
        ledger = open_ledger(url, lock=lock)
        assert daemon_pid(url) == os.getpid()
        ledger.close()
        assert daemon_pid(url) is None


def test_only_a_ledger_in_a_file_has_a_reserve() -> None:
    """Elsewhere the lock is a session's, and nobody is woken."""
    assert lock_ledger("memory:", never) is None
