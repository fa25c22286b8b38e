"""Processes that are found again."""

import os
import signal
import sys
from pathlib import Path

from hwtest.lab import processes
from hwtest.lab.processes import ProcessIdentity


def sleeper(word: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "import signal; signal.pause()", word)


def test_a_process_is_found_by_its_exact_command_and_ended(tmp_path: Path) -> None:
    """Another command, however similar, is not touched."""
    mine, other = sleeper(f"{tmp_path}"), sleeper(f"{tmp_path}/other")
    started = [processes.start(command, tmp_path / "log/out") for command in (mine, other)]
    try:
        (found,) = processes.running(mine)
        assert found.pid == started[0].pid
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
