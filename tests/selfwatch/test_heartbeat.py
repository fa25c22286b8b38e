"""The last sign of life beside the ledger: what the next daemon reads of it, whatever became of the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.core.model import Instant
from edge.errors import EXIT_HUNG
from edge.heartbeat import Heartbeat, SignOfLife

AT = Instant(5_000_000_000, 1_795_000_000_000_000)
HANG = """
import sys
from edge.daemon import signs_of_life
from edge.clock import SystemClock
from edge.heartbeat import Heartbeat
from edge.notify import Supervisor
from edge.selfwatch import SelfWatch
heartbeat = Heartbeat.beside(sys.argv[1])
watch = SelfWatch(Supervisor({}), signs_of_life(heartbeat, SystemClock(), lambda: sys.argv[2] == "well"))
watch.beat()
while True: pass
"""


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The last of many, whole; a shorter one leaves nothing of a longer."""
    heartbeat = Heartbeat(tmp_path / "alive")
    assert heartbeat.read() is None
    heartbeat.write(Instant(10**18, 10**18), "a" * 36, hung=True)
    heartbeat.write(AT, "boot")
    assert heartbeat.read() == SignOfLife(AT, "boot", False)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b"{}", b"null", b'{"monotonic_ns": "x", "utc_us": 1, "boot_id": "b", "hung": false}',
     b"[" * 500, b"9" * 600],
)  # fmt: skip
def test_a_file_that_makes_no_sense_says_nothing(tmp_path: Path, content: bytes) -> None:
    """Cut short, damaged, or written by somebody else."""
    (tmp_path / "alive").write_bytes(content)
    assert Heartbeat(tmp_path / "alive").read() is None


def test_a_place_that_cannot_be_written_disturbs_nobody(tmp_path: Path) -> None:
    """No folder, or a folder in its place."""
    Heartbeat(tmp_path / "nowhere" / "alive").write(AT, "boot")
    (tmp_path / "alive").mkdir()
    Heartbeat(tmp_path / "alive").write(AT, "boot")
    assert Heartbeat(tmp_path / "alive").read() is None


def test_it_stands_beside_a_ledger_that_is_a_file(tmp_path: Path) -> None:
    """Others have none."""
    assert Heartbeat.beside("memory:") is None
    heartbeat = Heartbeat.beside(f"sqlite:///{tmp_path}/ledger.sqlite")
    assert heartbeat is not None
    heartbeat.write(AT, "boot")
    assert (tmp_path / "ledger.sqlite.alive").exists()


@pytest.mark.parametrize(("ledger", "is_left"), [("well", True), ("in trouble", False)])
def test_a_loop_that_hangs_leaves_word_of_it(tmp_path: Path, ledger: str, is_left: bool) -> None:
    """That it hung, and since when; nothing while the ledger takes no facts, as those of then are lost with the process."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ended = subprocess.run(
        (sys.executable, "-c", HANG, url, ledger), capture_output=True, check=False, timeout=30
    )
    assert ended.returncode == EXIT_HUNG
    heartbeat = Heartbeat.beside(url)
    assert heartbeat is not None
    left = heartbeat.read()
    assert (left is not None) == is_left
    assert left is None or left.hung
