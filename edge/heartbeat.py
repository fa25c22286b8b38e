"""The last sign of life of the daemon, in a small file beside the ledger: what bounds a gap that nobody lived to see begin.

It is written over every half second by the thread that watches the loop (`edge.selfwatch`), without waiting for the disk: after a
kill it is there, after a power cut it may not be, and then the last fact in the ledger is the bound. It tells when the loop last
went round, so it stands still when the loop does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from edge.core.model import Instant

LONGEST = 512
"""Bytes of the file that are read."""


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """When the loop last went round, in which boot; and whether it was ended because it stood still."""

    at: Instant
    boot_id: str
    hung: bool


class Heartbeat:
    """The file. Whatever is wrong with it, nobody is disturbed: it is a bound, and not a fact."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def beside(cls, ledger_url: str) -> Heartbeat | None:
        """That of the ledger at this address; None where the ledger is no file."""
        database = make_url(ledger_url).database if ledger_url.startswith("sqlite") else None
        if not database or database == ":memory:":
            return None
        return cls(Path(f"{database}.alive"))

    def write(self, at: Instant, boot_id: str, *, hung: bool = False) -> None:
        """Write it over: one short write, so that a reader finds the old line or the new one."""
        line = json.dumps(
            {"monotonic_ns": at.monotonic_ns, "utc_us": at.utc_us, "boot_id": boot_id, "hung": hung}
        )
        try:
            mode = "r+b" if self._path.exists() else "wb"
            with self._path.open(mode, buffering=0) as file:
                file.write(line.encode().ljust(LONGEST))
        except OSError:
            return

    def read(self) -> SignOfLife | None:
        """What the daemon before has left; None where it left nothing that makes sense."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(LONGEST))
            at = Instant(int(found["monotonic_ns"]), int(found["utc_us"]))
            return SignOfLife(at, str(found["boot_id"]), found["hung"] is True)
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
