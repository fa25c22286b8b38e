"""Damaged files of a ledger that were set aside (ADR 0020): which there are, and destroying one. No erasure reaches into them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge.core.facts import FactsLost
from edge.ledger.maintenance import HeldError, Warrant
from edge.ledger.store import SqlLedger, SqlReader, sqlite_path
from edge.ports import LedgerError
from edge.views.gaps import LossRecord, losses
from edge.views.reading import entries_of

MARK = ".damaged-"
BESIDE = ("-wal", "-shm")
"""What may stand beside such a file and belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """One such file. `lost`: the facts that nobody could read from it any more; empty where all could be."""

    path: Path
    size_bytes: int
    lost: tuple[LossRecord, ...]

    @property
    def last_lost(self) -> int:
        """The sequence up to which a reader knows all that it lost; 0: nothing."""
        return max((loss.last for loss in self.lost), default=0)


def files_of(url: str, reader: SqlReader) -> list[SetAside]:
    """Those beside the ledger at `url`, the oldest first."""
    ledger = sqlite_path(url)
    if ledger is None or not ledger.parent.is_dir():
        return []
    found = sorted(
        path
        for path in ledger.parent.iterdir()
        if path.name.startswith(ledger.name + MARK) and not path.name.endswith(BESIDE)
    )
    known = losses(entries_of(reader, (FactsLost,))) if found else []
    return [
        SetAside(
            path=path,
            size_bytes=path.stat().st_size,
            lost=tuple(loss for loss in known if loss.kept_as == path.name),
        )
        for path in found
    ]


def destroy(file: SetAside, ledger: SqlLedger, through: int, warrant: Warrant) -> None:
    """Delete it for good, which stands in the audit. `through`: the last fact that every reader has acknowledged.

    Raises `HeldError` while there is any legal hold, as nobody can tell what such a file has of a call, and `LedgerError`.
    """
    if ledger.holds():
        raise HeldError(
            f"{file.path.name}: it may have what a legal hold is about: release the holds first (`edge hold list`)"
        )
    if through < file.last_lost:
        raise LedgerError(
            f"{file.path.name}: not every reader has acknowledged that the facts up to {file.last_lost} are lost, only "
            f"those up to {through}: until then it is the only trace of them"
        )
    with ledger.maintenance() as maintenance:
        maintenance.note(warrant, "destroy set aside", file=file.path.name, size_bytes=file.size_bytes)
        try:
            for suffix in BESIDE:
                file.path.with_name(file.path.name + suffix).unlink(missing_ok=True)
            file.path.unlink()
        except OSError as error:
            raise LedgerError(
                f"{file.path}: it cannot be deleted: {error.strerror}; do it as the daemon's user"
            ) from error
    folder = os.open(file.path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
