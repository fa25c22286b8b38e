"""Processes that are found again."""

import os
import signal
import sys
import time
from pathlib import Path

from hwtest.lab import processes
from hwtest.lab.processes import ProcessIdentity


def sleeper(word: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "import signal; signal.pause()", word)


def shown(command: tuple[str, ...]) -> ProcessIdentity:
    """The process of this command, once the kernel shows its words: they are empty for a moment after the start."""
    deadline = time.monotonic() + 5.0
    while not (found := processes.running(command)):
        assert time.monotonic() < deadline
    (one,) = found
    return one


def test_a_process_is_found_by_its_exact_command_and_ended(tmp_path: Path) -> None:
    """Another command, however similar, is not touched."""
    mine, other = sleeper(f"{tmp_path}"), sleeper(f"{tmp_path}/other")
    started = [processes.start(command, tmp_path / "log/out") for command in (mine, other)]
    try:
        found = shown(mine)
        assert found.pid == started[0].pid
        assert shown(other).pid == started[1].pid
        found.stop(5.0)
        assert processes.running(mine) == []
        assert [process.pid for process in processes.running(other)] == [started[1].pid]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_stopped_process_is_ended_all_the_same(tmp_path: Path) -> None:
    """SIGSTOP is one of our experiments; `down` must work after it."""
    process = processes.start(sleeper(f"{tmp_path}"), tmp_path / "out")
    identity = ProcessIdentity.of(process.pid)
    process.send_signal(signal.SIGSTOP)
    identity.stop(5.0)
    process.returncode = 0  # collected by `identity`
    assert not identity.running


def test_a_number_given_to_another_process_is_not_mistaken_for_ours() -> None:
    """The start time tells them apart."""
    assert not ProcessIdentity(os.getpid(), ProcessIdentity.of(os.getpid()).started_ticks - 1).running
    assert ProcessIdentity.of(os.getpid()).running
