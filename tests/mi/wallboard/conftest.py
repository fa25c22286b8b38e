"""A wallboard over a ledger of the test's own, its signs of life in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.core.state import replay
from edge.ledger.codec import encode_state
from edge.ledger.store import SqlLedger, open_reader, open_sql_ledger
from edge.mi.wallboard.live import Live, Site
from edge.mi.wallboard.signs import Daemon, Disk, Signs
from tests.views.room import Room

LONDON = ZoneInfo("Europe/London")
SITE = Site(
    name="Test room",
    zone=LONDON,
    targets={"general": 10.0, "emergency": 10.0},
    emergency=frozenset({"emergency"}),
    agents={"4001": "Ann", "4002": "Bob"},
)


@dataclass
class Bench:
    """A room whose facts go into a ledger, and what the wallboard makes of it."""

    room: Room
    ledger: SqlLedger
    url: str
    boot: str = "boot"
    daemon: Daemon = Daemon.RUNNING
    disk: Disk | None = field(default_factory=lambda: Disk(50 << 30, 100 << 30))
    pulled_utc_us: int | None = None
    said: str | None = None
    site: Site = SITE
    kept: int = 0

    def commit(self) -> None:
        """What has happened in the room is on disk now."""
        self.ledger.append(self.room.entries[self.kept :])
        self.kept = len(self.room.entries)

    def checkpoint(self) -> None:
        """The newest state, as the daemon keeps it from time to time."""
        self.commit()
        self.ledger.save_checkpoint(self.kept, encode_state(replay(self.room.entries)))

    def live(self, site: Site | None = None) -> Live:
        """A fold of it that has not looked yet."""
        signs = Signs(
            now=lambda: self.room.now,
            boot_id=lambda: self.boot,
            daemon=lambda: self.daemon,
            disk=lambda: self.disk,
            last_pull_utc_us=lambda: self.pulled_utc_us,
            own_word=lambda: self.said,
        )
        return Live(lambda: open_reader(self.url), site or self.site, signs)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[[Room], Bench]]:
    """Makes a bench of a room."""
    ledgers: list[SqlLedger] = []

    def make(room: Room) -> Bench:
        url = f"sqlite:///{tmp_path}/ledger{len(ledgers)}.sqlite"
        ledgers.append(open_sql_ledger(url))
        made = Bench(room, ledgers[-1], url)
        made.commit()
        return made

    yield make
    for ledger in ledgers:
        ledger.close()
