"""Shipping a ledger: read what follows, check its chain, write it, again and again, whatever happens to either side.

Memory is bounded by one batch: what cannot be shipped waits where it already is, in the ledger. Trouble with the shared database
or with the ledger's file is waited out, ever longer up to half a minute, and an alarm line says so after a minute. What waiting
cannot mend ends it, for a person to look: a chain that does not hold, a ledger that is not the one that was shipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from edge.errors import PermanentError
from edge.ledger.chain import BrokenError, Damage, Head, check, head_after, leads_over
from edge.ledger.maintenance import audit_genesis, audit_link
from edge.ledger.store import Shipment, SqlReader, open_reader
from edge.ports import LedgerError
from edge.ship.target import Batch, Progress

BATCH = 5000
"""Facts in one transaction at most: some 10 MB in memory."""
LEVEL_SECONDS = 0.25
"""How long a copy that is level waits before it looks again."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
ALARM_SECONDS = 60.0
"""So long without getting anywhere, and the alarm line is written,"""
ALARM_AGAIN_SECONDS = 600.0
"""and again each time so long after."""

log = structlog.get_logger(__name__)


class Copy(Protocol):
    """What shipping needs of `edge.ship.target.Target`."""

    def prepare(self) -> None:
        """Make the schema, or bring it up to date."""

    def register(self, ledger_id: str, name: str, created_utc_us: int, *, replaced: bool) -> None:
        """Become the one that ships this ledger."""

    def progress(self) -> Progress:
        """How far the copy has come."""

    def put(self, batch: Batch) -> bool:
        """Write one batch, or nothing. False: the copy was not where the batch begins."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose ledger is shipped, and under which name. `replaced`: it takes the place of another of this name, on purpose."""

    url: str
    name: str
    replaced: bool = False


class Shipper:
    """Ships one ledger. `open_copy` connects; `wait` waits so many seconds and returns True when it is time to stop.

    `told` hears of every step: the ledger's id, how far its copy has come, and how many facts it is behind.
    """

    def __init__(
        self,
        source: Source,
        open_copy: Callable[[], Copy],
        wait: Callable[[float], bool],
        told: Callable[[str, Progress, int], None] = lambda _ledger_id, _progress, _behind: None,
        now_seconds: Callable[[], float] = time.monotonic,
        batch: int = BATCH,
    ) -> None:
        self._source, self._open_copy, self._wait, self._told = source, open_copy, wait, told
        self._now_seconds, self._batch = now_seconds, batch
        self._copy: Copy | None = None
        self._reader: SqlReader | None = None
        """It opens the file anew for each look, so it does not hold on to one that was replaced."""
        self._ledger_id = ""
        self._progress = Progress(Head(0, ""))
        self._audit_hash = ""
        self._trouble_since: float | None = None
        self._alarmed: float | None = None

    def run(self) -> None:
        """Ship until told to stop. Raises `PermanentError` when only a person can mend it."""
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                moved = self.step()
            except LedgerError as error:
                self._drop()
                self._in_trouble(error)
                if self._wait(delay):
                    return
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            else:
                delay = FIRST_DELAY_SECONDS
                self._well_again()
                if self._wait(0.0 if moved else LEVEL_SECONDS):
                    return

    def run_until_level(self) -> Progress:
        """Ship what is there, and return how far the copy has come. Raises `LedgerError` at the first trouble."""
        while self.step():
            if self._wait(0.0):
                break
        return self._progress

    def step(self) -> bool:
        """Ship one batch; False when there was nothing to ship. Raises `LedgerError` for what may mend itself."""
        reader = self._reader = self._reader or open_reader(self._source.url)
        copy = self._copy or self._begin(reader)
        at = self._progress
        shipment = reader.shipment(at.head.sequence, self._batch, at.erased, at.audit)
        self._require_same(shipment)
        batch = self._checked(reader, shipment)
        if batch.progress == at:
            self._told(self._ledger_id, at, 0)
            return False
        if not copy.put(batch):
            raise LedgerError(
                "somebody else moved this ledger's position in the shared database; it is read again"
            )
        self._progress = batch.progress
        if batch.audit:
            self._audit_hash = batch.audit[-1].hash
        self._told(
            self._ledger_id, batch.progress, shipment.anchors.head.sequence - batch.progress.head.sequence
        )
        return True

    def close(self) -> None:
        """Let go of the shared database and the ledger."""
        self._drop()

    def _begin(self, reader: SqlReader) -> Copy:
        """Connect, and find out where the copy is and whether the ledger is the one that it is of."""
        ledger_id, created_utc_us = reader.identity()
        copy = self._open_copy()
        try:
            copy.prepare()
            copy.register(ledger_id, self._source.name, created_utc_us, replaced=self._source.replaced)
            progress = copy.progress()
            self._ledger_id = ledger_id
            self._require_history(reader, progress)
            self._audit_hash = self._audit_hash_at(reader, progress.audit)
        except BaseException:
            copy.close()
            raise
        self._copy, self._progress = copy, progress
        log.info(
            "ship.connected",
            ledger_id=self._ledger_id,
            name=self._source.name,
            position=progress.head.sequence,
        )
        return copy

    def _require_same(self, shipment: Shipment) -> None:
        if shipment.anchors.ledger_id != self._ledger_id:
            self._drop()  # the next step introduces it, under a name that is another ledger's
            raise LedgerError(f"{self._source.url} is another ledger than a moment ago")
        if shipment.anchors.head.sequence < self._progress.head.sequence:
            raise self._restored(shipment.anchors.head.sequence, self._progress.head.sequence)

    def _require_history(self, reader: SqlReader, progress: Progress) -> None:
        """What was shipped must be what is there: an older copy of the file that was put back has gone on differently."""
        sequence, digest = progress.head
        if sequence == 0:
            return
        records, anchors = reader.page(sequence - 1, 1)
        if anchors.head.sequence < sequence:
            raise self._restored(anchors.head.sequence, sequence)
        if records and leads_over(records[0].row, sequence):
            return  # a damaged file lost it since: the shared database has more than the ledger
        if not records or records[0].row.sequence != sequence:
            raise self._broken(Damage.MISSING, f"entry {sequence}, which was shipped, is missing")
        if records[0].hash != digest:
            raise PermanentError(
                f"the ledger is not the one that was shipped: its entry {sequence} has another hash than its copy in the shared "
                "database. An older copy of its file was put back, or it was tampered with: `edge ledger verify` on both, and "
                "keep both as evidence. Nothing was shipped."
            )

    def _restored(self, sequence: int, shipped: int) -> PermanentError:
        return PermanentError(
            f"the ledger ends at entry {sequence}, and {shipped} were shipped: an older copy of its file was put back, or its "
            "end was cut off. The shared database has what is missing (--ledger '...?ledger="
            f"{self._ledger_id}'); begin a new ledger and ship it with --replaced. Nothing was shipped."
        )

    def _broken(self, damage: Damage, what: str) -> PermanentError:
        return PermanentError(
            f"the ledger's chain does not hold ({damage}): {what}. Nothing from there on is shipped: "
            "run `edge ledger verify`, and keep the file as evidence"
        )

    def _audit_hash_at(self, reader: SqlReader, number: int) -> str:
        if number == 0:
            return audit_genesis(self._ledger_id)
        found = reader.shipment(0, 1, 0, number - 1).audit
        if not found or found[0].number != number:
            raise PermanentError(
                f"the ledger's audit ends before its entry {number}, which was shipped: it was tampered with, "
                "or an older copy of the file was put back"
            )
        return found[0].hash

    def _checked(self, reader: SqlReader, shipment: Shipment) -> Batch:
        """The batch, every hash recomputed from what the shared database has."""
        head, digest = self._progress.head, self._audit_hash
        try:
            for record in shipment.records:
                check(reader, head, record)
                head = head_after(record.row, record.hash)
        except BrokenError as broken:
            raise self._broken(broken.damage, str(broken)) from broken
        last = shipment.anchors.head.sequence
        if len(shipment.records) < self._batch and head.sequence < last:
            raise self._broken(Damage.MISSING, f"its end, entries {head.sequence + 1} to {last}, is missing")
        number = self._progress.audit
        for entry in shipment.audit:
            if entry.number != number + 1 or audit_link(digest, entry) != entry.hash:
                raise PermanentError(
                    f"the ledger's audit does not hold after its entry {number}: somebody changed it. Run `edge ledger audit`"
                )
            number, digest = entry.number, entry.hash
        erased = [each.sequence for each in shipment.erased]
        return Batch(
            after=self._progress,
            records=shipment.records,
            erased=erased,
            audit=shipment.audit,
            progress=Progress(
                head, shipment.erased[-1].position if shipment.erased else self._progress.erased, number
            ),
        )

    def _in_trouble(self, error: LedgerError) -> None:
        now = self._now_seconds()
        if self._trouble_since is None:
            self._trouble_since = now
            log.warning("ship.interrupted", error=str(error))
        lasted, again = now - self._trouble_since, self._alarmed
        if lasted >= ALARM_SECONDS and (again is None or now - again >= ALARM_AGAIN_SECONDS):
            self._alarmed = now
            log.error(
                "ship.alarm",
                problem="nothing is shipped; it waits in the ledger",
                seconds=round(lasted),
                error=str(error),
            )

    def _well_again(self) -> None:
        if self._trouble_since is not None:
            log.warning("ship.resumed", seconds=round(self._now_seconds() - self._trouble_since))
        self._trouble_since = self._alarmed = None

    def _drop(self) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
