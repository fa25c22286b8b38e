"""A ledger of an appliance, a shared database, and what ships the one into the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.ledger.chain import Verification
from edge.ledger.measure import arrivals
from edge.ledger.store import open_reader, open_sql_ledger, verify
from edge.ship.shipping import Copy, Shipper, Source
from edge.ship.target import Progress, Target
from hwtest.lab.postgres import Server


class Shared:
    """The shared database, as a test looks into it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.database()
        self.name = self.url.partition("@/")[2].partition("?")[0]

    def rows(self, query: str) -> Sequence[Any]:
        """What the query finds."""
        with self.server.connect(self.name) as connection:
            return connection.execute(query.encode()).fetchall()

    def copy_of(self, ledger_url: str) -> str:
        """The URL under which the copy of this ledger is read."""
        with closing(open_reader(ledger_url)) as reader:
            return f"{self.url}&ledger={reader.ledger_id}"

    def verified(self, ledger_url: str) -> Verification:
        """The copy of this ledger, its chain recomputed from what the database has."""
        return verify(self.copy_of(ledger_url))


@pytest.fixture
def shared(postgres: Server) -> Shared:
    return Shared(postgres)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger of 25 calls."""
    made = f"sqlite:///{tmp_path}/ledger.db"
    with closing(open_sql_ledger(made)) as ledger:
        ledger.append(arrivals(1, 25))
    return made


Ship = Callable[..., Shipper]


@pytest.fixture
def shipper(shared: Shared) -> Iterator[Ship]:
    """Makes shippers, ten facts a batch, and closes them."""
    made: list[Shipper] = []

    def make(
        url: str,
        name: str = "Appliance A",
        *,
        replaced: bool = False,
        open_copy: Callable[[], Copy] = lambda: Target(shared.url),
        **more: Any,
    ) -> Shipper:
        made.append(Shipper(Source(url, name, replaced), open_copy, lambda _: False, batch=10, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def append(url: str, count: int) -> None:
    """So many calls more, as the daemon writes them."""
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(ledger.last_sequence() + 1, count))


def level(shipper: Shipper) -> Progress:
    """Ship what is there, and end."""
    try:
        return shipper.run_until_level()
    finally:
        shipper.close()
