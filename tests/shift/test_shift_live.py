"""`hwtest shift`, which is what `make run` runs."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwtest.lab import stack

pytestmark = pytest.mark.live


def shift(directory: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "hwtest", "shift", "--agents", "3", "--dir", str(directory), *arguments)


def promises(summary: str) -> tuple[int, ...]:
    """Call-backs promised, kept and waiting, as the summary has them."""
    found = re.search(r"^Call-backs: (\d+) promised, (\d+) kept, (\d+) waiting", summary, re.MULTILINE)
    assert found is not None, summary
    return tuple(map(int, found.groups()))


def test_a_short_shift_ends_by_itself_and_every_call_has_ended(tmp_path: Path) -> None:
    """Exit status 0, a summary, call-backs promised and none of them left, and the lab is gone."""
    place = tmp_path / "lab"
    result = subprocess.run(
        shift(place, "--for", "14", "--wrap-up", "1"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Every call ended" in result.stdout
    promised, kept, waiting = promises(result.stdout)
    assert promised > 0
    assert (waiting, kept <= promised) == (0, True)
    assert not stack.status(place).asterisk


def test_ctrl_c_ends_a_shift_in_good_order(tmp_path: Path) -> None:
    """With the summary, and every call ended. Of this seed's first callers nobody takes a call-back, for which it would stay."""
    place = tmp_path / "lab"
    running = subprocess.Popen(shift(place, "--seed", "207"), stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        seen = ""
        deadline = time.monotonic() + 60
        while "agents ready" not in seen and time.monotonic() < deadline:
            seen += running.stdout.readline()
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=200)
    finally:
        running.kill()
        running.wait()
        stack.down(place)
    assert (running.returncode, "Every call ended" in rest) == (0, True), rest
