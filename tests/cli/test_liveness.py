"""Who holds the lock, by the kernel's list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge import liveness


@pytest.mark.parametrize(("device", "inode", "expected"), [(0, 0, 4321), (1, 0, None), (0, 1, None)])
def test_lock_is_of_device_and_inode(
    device: int, inode: int, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a file of the same inode number on another device is not the daemon's."""
    lock = tmp_path / "ledger.sqlite.lock"
    lock.write_text("4321\n", encoding="ascii")
    found = lock.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev) + device:02x}:{found.st_ino + inode}"
    locks = tmp_path / "locks"
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 4321 {place} 0 EOF\n", encoding="ascii")
    monkeypatch.setattr(liveness, "LOCKS", locks)
    assert liveness.daemon_pid(f"sqlite:///{tmp_path}/ledger.sqlite") == expected
