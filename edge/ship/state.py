"""How far the ledger was shipped, in a small file beside it: for whoever must not erase what was not, and for a person."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge.ship.target import Progress

EVERY_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShippedThrough:
    """Every fact of this ledger up to `sequence` was in the shared database at that time."""

    ledger_id: str
    sequence: int
    utc_us: int


def state_file(ledger_url: str) -> Path | None:
    """Where it stands; None for a ledger that is no file."""
    scheme, _, path = ledger_url.partition(":///")
    if not scheme.startswith("sqlite") or not path or path.startswith(":"):
        return None
    return Path(path.partition("?")[0] + ".shipped")


def read_state(ledger_url: str) -> ShippedThrough | None:
    """The file's content; None when it is not there, or not what was written."""
    path = state_file(ledger_url)
    try:
        return ShippedThrough(**json.loads(path.read_text(encoding="ascii"))) if path else None
    except (OSError, ValueError, TypeError):
        return None


class StateFile:
    """Writes it, once a second at most while much is shipped. Where it cannot, shipping goes on: retention only waits longer."""

    def __init__(self, ledger_url: str, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._path = state_file(ledger_url)
        self._now_seconds = now_seconds
        self._written = 0
        self._at = -EVERY_SECONDS
        self._warned = False

    def tell(self, ledger_id: str, progress: Progress, behind: int) -> None:
        """The copy has come so far, and `behind` facts wait."""
        sequence, now = progress.head.sequence, self._now_seconds()
        if self._path is None or sequence == self._written or (behind and now - self._at < EVERY_SECONDS):
            return
        text = json.dumps({"ledger_id": ledger_id, "sequence": sequence, "utc_us": time.time_ns() // 1000})
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        self._at = now
        try:
            draft.write_text(text, encoding="ascii")
            draft.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            if not self._warned:
                log.warning("ship.note_not_written", file=str(self._path), error=error.strerror)
            self._warned = True
            return
        self._written, self._warned = sequence, False
