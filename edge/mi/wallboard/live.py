"""The open state and the day's figures, folded once for everybody who looks: from the newest checkpoint, then from each new fact.

Every look reads a bounded number of facts, so that a long ledger is caught up with in steps. What cannot be known to be true now
is not shown: `staleness` says since when, and why in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import structlog

from edge.core import facts
from edge.core.model import MICROSECONDS, Instant
from edge.core.state import State, fold
from edge.core.transitions import IllegalFactError
from edge.ledger.codec import Record, decode_entry
from edge.ledger.store import SqlReader
from edge.mi.wallboard.day import ALARM_SECONDS, Day, midnight_utc_us
from edge.mi.wallboard.signs import Daemon, Signs, overdue
from edge.ports import LedgerError
from edge.views.reading import DAY_FACTS, checkpoint_state, sequence_before

FACTS_PER_LOOK = 5_000
DAY_KINDS = frozenset(kind.__name__ for kind in DAY_FACTS)
PATIENCE_SECONDS = 1.5
"""How long a ledger may be unreadable, or ahead of us, before what we have counts as old."""
WHY_NOT = {
    Daemon.DEAD: "the daemon is not running: the switch's own queue serves the callers",
    Daemon.STOPPED: "the daemon is stopped: it lives and does nothing",
    Daemon.ELSEWHERE: "this record is a copy: whether its daemon lives is not known here",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the wallboard needs of the configuration."""

    name: str
    zone: ZoneInfo
    targets: Mapping[str, float]
    """Queue -> target seconds."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Queue -> share of calls that is to be answered in less than its target."""
    emergency: frozenset[str] = frozenset()
    """Queues of 999 lines."""
    classes: tuple[str, ...] = ()
    """Priority classes, in the order in which they are shown."""
    agents: Mapping[str, str] = field(default_factory=dict)
    """Number -> name."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The figures were last known to be true at `since`; None: never, since this process began."""

    since_utc_us: int | None
    why: str


class Live:
    """Not thread-safe: whoever owns it looks from one thread at a time."""

    def __init__(self, open_reader: Callable[[], SqlReader], site: Site, signs: Signs) -> None:
        """`open_reader` raises `LedgerError` while there is no ledger to be read."""
        self._open_reader = open_reader
        self._reader: SqlReader | None = None
        self._ledger_id: str | None = None
        self.site = site
        self.signs = signs
        self.state = State()
        self.day = Day(site.zone, site.targets, signs.now())
        self.progress = 0.0
        """How much of the record has been read, 1 when level."""
        self._trouble: str | None = "the record has not been read yet"
        self._level_at: Instant | None = None
        """When all that the ledger had was known."""
        self._alive_at: Instant | None = None
        """When the daemon was last seen alive."""
        self._said: str | None = None
        """What the daemon says is wrong with itself."""
        self._well_at: Instant | None = None
        """When it last said nothing of the kind."""
        self.daemon = Daemon.DEAD

    def close(self) -> None:
        """Release the ledger."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # ------------------------------------------------------------------ looking

    def look(self) -> bool:
        """Read what is new, a bounded number of facts; whether there was anything, or trouble came or went."""
        before = self._seen
        now = self.signs.now()
        self.daemon = self.signs.daemon()
        if self.daemon is Daemon.RUNNING:
            self._alive_at = now
            self._said = self.signs.own_word()
            if self._said is None:
                self._well_at = now
        try:
            self._follow(now)
        except LedgerError as error:
            self._fail("the record cannot be read", error)
        except IllegalFactError as error:
            self._ledger_id = None  # from the beginning, at the next look
            self._fail("the record cannot be folded: somebody should run edge ledger verify", error)
        self.day.turn(now)
        return before != self._seen

    @property
    def _seen(self) -> tuple[object, ...]:
        return self.state.sequence, self.day.through, self._trouble, self.daemon, self._said

    def _fail(self, why: str, error: Exception) -> None:
        """In words for anybody; what names files goes to the log, once."""
        if self._trouble != why:
            log.warning("wallboard.unreadable", error=str(error))
        self._trouble = why
        self.close()

    def _follow(self, now: Instant) -> None:
        self._reader = reader = self._reader or self._open_reader()
        if self._ledger_id is None:
            self._begin(reader, now)
        records, anchors = reader.page(self.state.sequence, FACTS_PER_LOOK)
        if anchors.ledger_id != self._ledger_id or anchors.head.sequence < self.state.sequence:
            self._begin(reader, now)  # another ledger stands in its place
            records, anchors = reader.page(self.state.sequence, FACTS_PER_LOOK)
        together = self.day.through == self.state.sequence
        for record in records:
            entry = decode_entry(record.row, record.personal)
            fold(self.state, entry)
            if together:
                self._count(record, entry)
        if not together:
            self._catch_up(reader)
        last = max(anchors.head.sequence, 1)
        self.progress = min(self.state.sequence, self.day.through) / last
        if anchors.head.sequence <= min(self.state.sequence, self.day.through):
            self._level_at, self._trouble, self.progress = now, None, 1.0
        elif self._level_at is None:
            self._trouble = "the record is being read"

    def _begin(self, reader: SqlReader, now: Instant) -> None:
        """From the newest checkpoint, and for the figures from the midnight before."""
        self._ledger_id = reader.page(0, 0)[1].ledger_id
        self._level_at = None
        self.state = checkpoint_state(reader) or State()
        hour_ago = now.utc_us - int(ALARM_SECONDS * MICROSECONDS)
        through = sequence_before(reader, min(midnight_utc_us(now, self.site.zone), hour_ago))
        self.day = Day(self.site.zone, self.site.targets, now, through, self._history)

    def _history(self, call_id: str) -> Sequence[facts.Entry]:
        return self._reader.read_call(call_id) if self._reader is not None else ()

    def _catch_up(self, reader: SqlReader) -> None:
        """The day's facts up to the open state's; the day may also begin after it, in a ledger without a checkpoint."""
        for record in reader.page(self.day.through, FACTS_PER_LOOK)[0]:
            if record.row.sequence > self.state.sequence:
                break
            entry = decode_entry(record.row, record.personal) if record.row.kind in DAY_KINDS else None
            self._count(record, entry)
        if self.day.through == self.state.sequence:
            for call_id in self.state.calls:  # those of which nothing was heard since
                self.day.recall(call_id, self.day.through + 1)

    def _count(self, record: Record, entry: facts.Entry | None) -> None:
        if entry is not None and record.row.kind in DAY_KINDS:
            self.day.add(entry)
        self.day.through = record.row.sequence

    @property
    def writes(self) -> bool:
        """Whether the daemon can write the record, as far as it or the record says."""
        return self.state.ledger_trouble is None and self._said is None

    @property
    def is_level(self) -> bool:
        """Whether there is nothing more to read for now."""
        return self.progress >= 1.0 or self._reader is None

    # ------------------------------------------------------------------ how old it is

    def age(self, at: Instant) -> float:
        """Seconds since `at`: by the monotonic clock where it is the daemon's own (one machine, one boot), else by UTC."""
        now = self.signs.now()
        if self.state.boot_id == self.signs.boot_id():
            return max(0.0, now.since(at))
        return max(0.0, (now.utc_us - at.utc_us) / MICROSECONDS)

    def staleness(self) -> Stale | None:
        """Why the figures cannot be known to be true now; None while they are."""
        now, state = self.signs.now(), self.state
        level = self._level_at
        if level is None:
            return Stale(
                None, f"{self._trouble} ({self.progress:.0%})" if self.progress else f"{self._trouble}"
            )
        if now.since(level) > PATIENCE_SECONDS:
            return Stale(level.utc_us, self._trouble or "more is written than can be read")
        if self.daemon is not Daemon.RUNNING:
            last = self._alive_at or state.latest_at
            return Stale(None if last is None else last.utc_us, WHY_NOT[self.daemon])
        if self._said is not None:
            well = self._well_at or state.latest_at
            return Stale(None if well is None else well.utc_us, self._said)
        if not state.sight:
            since = None if state.sight_since is None else state.sight_since.utc_us
            return Stale(since, "the daemon does not see the switch")
        if state.ledger_trouble is not None:
            return Stale(self._latest_utc_us, "the daemon cannot write the record")
        if state.boot_id == self.signs.boot_id() and (late := overdue(state, now)) is not None:
            return Stale(self._latest_utc_us, f"the record stands still: {late}")
        return None

    @property
    def _latest_utc_us(self) -> int | None:
        return None if self.state.latest_at is None else self.state.latest_at.utc_us
