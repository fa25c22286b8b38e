"""What the routes share: the ledger to read, MI's own store, tokens, disclosures, clocks, limits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fastapi import Request

from edge.clock import SystemClock
from edge.config.sections import MiSection
from edge.ledger.store import SqlReader, open_reader
from edge.metrics.book import Book, read_book
from edge.mi.acknowledgements import Acknowledgements
from edge.mi.ahead import Ahead
from edge.mi.cursors import Cursors
from edge.mi.disclosures import Disclosures
from edge.mi.limits import Guesses, Rates
from edge.mi.page_maker import PageMaker
from edge.mi.places import directory_of
from edge.mi.projection import Projection, projection_file
from edge.mi.slots import Slots
from edge.mi.store import Store, open_store
from edge.mi.stream import anchors_of
from edge.mi.tokens import Tokens
from edge.mi.watch import HeadWatch
from edge.ports import Clock
from edge.views.caller import read_key

if TYPE_CHECKING:
    from edge.config import Configuration


LEVEL_FACTS = 2000
LEVEL_SECONDS = 1.0


@dataclass(kw_only=True)
class Services:
    """One of each, for the life of the process. What it does to disks is blocking: call it in threads."""

    ledger_url: str
    directory: Path
    settings: MiSection
    configuration: Configuration | None
    """The site's; None for a ledger that is looked at without one."""
    clock: Clock
    store: Store
    tokens: Tokens
    disclosures: Disclosures
    acknowledgements: Acknowledgements
    cursors: Cursors
    ahead: Ahead
    rates: Rates
    guesses: Guesses
    book: Book = field(default_factory=read_book)
    """Definitions of metrics: ours, and the force's own as they were when the process began."""
    slots: Slots = field(default_factory=Slots)
    watch: HeadWatch = field(init=False)
    _projection: Projection | None = None
    _reader: SqlReader | None = None
    _caller_key: bytes | None = None
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """What needs the rest."""
        self.watch = HeadWatch(lambda: anchors_of(self.reader())[1])

    def reader(self) -> SqlReader:
        """The ledger, to be read only; safe in any thread. Raises `LedgerError` while there is none yet."""
        with self._lock:
            if self._reader is None:
                self._reader = open_reader(self.ledger_url, kept=True)
            return self._reader

    def projection(self) -> Projection:
        """Calls, tasks and gaps folded from facts. Raises `LedgerError` while there is no ledger."""
        reader = self.reader()
        with self._lock:
            if self._projection is None:
                self._projection = Projection(reader, projection_file(self.directory), self.caller_key())
            return self._projection

    def folded(self) -> Projection:
        """The projection, brought level if that takes a moment only; what it has come to is `through`."""
        projection, until = self.projection(), time.monotonic() + LEVEL_SECONDS
        while projection.advance(LEVEL_FACTS) and time.monotonic() < until:
            pass
        return projection

    def caller_key(self) -> bytes | None:
        """With which callers' numbers are hashed; the daemon makes it when it first starts."""
        if self._caller_key is None:
            self._caller_key = read_key(self.ledger_url)
        return self._caller_key

    def zone(self) -> ZoneInfo:
        """Local time of the site."""
        return ZoneInfo("Europe/London" if self.configuration is None else self.configuration.site.timezone)

    def now_utc_us(self) -> int:
        """This moment."""
        return self.clock.now().utc_us

    def close(self) -> None:
        """Release the files."""
        self.store.close()
        with self._lock:
            if self._projection is not None:
                self._projection.close()
            if self._reader is not None:
                self._reader.close()


async def services(request: Request) -> Services:
    """For routes: `Annotated[Services, Depends(services)]`. A coroutine, as one that is none would cost a thread's turn."""
    found: Services = request.app.state.services
    return found


def open_services(
    ledger_url: str,
    settings: MiSection | None = None,
    configuration: Configuration | None = None,
    clock: Clock | None = None,
    definitions: Path | None = None,
) -> Services:
    """Everything opened. `definitions`: the force's own of metrics. Raises `LedgerError` and `PermanentError`."""
    book = read_book(definitions)
    settings = settings or MiSection()
    clock = clock or SystemClock()
    directory = directory_of(ledger_url, settings.directory)
    store = open_store(directory)
    cursor_key = store.key("cursors")
    utc_us, monotonic_ns = partial(_utc_us, clock), partial(_monotonic_ns, clock)
    return Services(
        ledger_url=ledger_url,
        directory=directory,
        settings=settings,
        configuration=configuration,
        clock=clock,
        book=book,
        store=store,
        tokens=Tokens(store, utc_us, monotonic_ns),
        disclosures=Disclosures(store, utc_us),
        acknowledgements=Acknowledgements(store, utc_us),
        cursors=Cursors(cursor_key),
        ahead=Ahead(PageMaker(ledger_url, cursor_key)),
        rates=Rates(monotonic_ns),
        guesses=Guesses(monotonic_ns),
    )


def _utc_us(clock: Clock) -> int:
    return clock.now().utc_us


def _monotonic_ns(clock: Clock) -> int:
    return clock.now().monotonic_ns
