"""Whether the daemon lives, without disturbing it: who holds the lock beside the ledger, as the kernel lists locks.

Taking the lock to see whether it is free would make a daemon fail that starts in that very moment.
"""

from __future__ import annotations

import os
from pathlib import Path

LOCKS = Path("/proc/locks")
"""proc(5): `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`; a line of one that waits has `->` after the number."""


def daemon_pid(ledger_url: str) -> int | None:
    """The process id of the daemon that writes this ledger, None when there is none."""
    path = _lock_file(ledger_url)
    try:
        file = path.stat()
        holder = path.read_text(encoding="ascii", errors="replace").strip()
        locks = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    held = any(_is_lock_on(line.split(), file) for line in locks)
    return int(holder) if held and holder.isascii() and holder.isdigit() else None


def reserve_pids(ledger_url: str) -> list[int]:
    """The process ids of the daemons that wait in reserve for this ledger (`edge run --reserve`)."""
    try:
        file = _lock_file(ledger_url).stat()
        locks = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    waiting = [fields for line in locks if "->" in (fields := line.split())]
    for fields in waiting:
        fields.remove("->")
    return [int(fields[4]) for fields in waiting if _is_lock_on(fields, file)]


def _lock_file(ledger_url: str) -> Path:
    return Path(ledger_url.partition(":///")[2].partition("?")[0] + ".lock")


def _is_lock_on(fields: list[str], file: os.stat_result) -> bool:
    """Whether a line is of a lock on this file. Inode numbers are of one device only, which is listed in hexadecimal.

    Where files have no device of their own (major 0: btrfs, overlayfs) the list names another one, so there the inode decides.
    """
    if len(fields) < 6 or fields[1] != "FLOCK":
        return False
    device, _, inode = fields[5].rpartition(":")
    same = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
    return inode == str(file.st_ino) and (device == same or os.major(file.st_dev) == 0)
