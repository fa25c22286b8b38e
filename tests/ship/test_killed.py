"""kill -9 of either side, at random moments: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import click
import pytest

from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.store import erase, open_reader, open_sql_ledger
from hwtest.lab.postgres import server
from tests.ship.conftest import Shared

LOOK_SECONDS = 0.01
OUTAGE_SECONDS = 600.0


@pytest.fixture
def own_shared() -> Iterator[Shared]:
    """A server of its own: it is killed."""
    with server(durable=False) as running:
        yield Shared(running)


def shipping(url: str, shared: Shared, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "edge",
        "--ledger",
        url,
        "ship",
        "--to",
        shared.url,
        "--name",
        "A",
        *options,
    ]


@contextmanager
def process(url: str, shared: Shared, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`edge ship` as systemd starts it; killed at the end."""
    environment = {**os.environ, "EDGE101_CONFIG": "/nonexistent"}
    with subprocess.Popen(
        shipping(url, shared, *options), env=environment, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def position(shared: Shared) -> int:
    """How far the copy has come; 0 before there is one."""
    there = shared.rows("SELECT to_regclass('edge101.ledgers') IS NOT NULL")[0][0]
    return sum(row[0] for row in shared.rows("SELECT position FROM edge101.ledgers")) if there else 0


def until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)


def level(url: str, shared: Shared) -> None:
    """Ship the rest, and compare every row."""
    environment = {**os.environ, "EDGE101_CONFIG": "/nonexistent"}
    done = subprocess.run(
        shipping(url, shared, "--once", "--json"), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with closing(open_reader(url)) as reader:
        assert (told["position"], told["hash"]) == reader.head()
        last = told["position"]
        assert shared.rows("SELECT count(*), min(sequence), max(sequence) FROM edge101.facts") == [
            (last, 1, last)
        ]
        found = shared.verified(url)
        assert (found.explanation, found.count, found.head) == ("the chain holds", last, reader.head())
        assert shared.rows("SELECT count(*) FROM edge101.personal") == [(reader.statistics().personal,)]


def test_either_side_is_killed(tmp_path: Path, own_shared: Shared) -> None:
    """While the daemon writes and a person erases: `edge ship` and the server are killed, each where it stands."""
    url, chance = f"sqlite:///{tmp_path}/ledger.db", Random(6)
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(1, 3000))
        for killed in ("ship", "server"):
            reached = position(own_shared)
            with process(url, own_shared, "--batch", "50") as running:
                until(lambda: position(own_shared) >= reached + chance.randint(100, 600))  # noqa: B023 - used at once
                ledger.append(arrivals(ledger.last_sequence() + 1, 300))
                erase(url, sequences=range(reached + 1, reached + 400, 3), warrant=Warrant("ann", "test"))
                if killed == "server":
                    own_shared.server.kill()
                    own_shared.server.start()
                    came_to = position(own_shared)
                    until(lambda: position(own_shared) > came_to)  # noqa: B023 - it goes on by itself
                running.kill()
    level(url, own_shared)


@pytest.mark.endurance
def test_a_million_facts(
    tmp_path: Path, own_shared: Shared, record_property: Callable[[str, object], None]
) -> None:
    """A million facts, with both sides killed again and again, and ten minutes without the server in the middle."""
    url, chance, count = f"sqlite:///{tmp_path}/ledger.db", Random(1_000_000), 1_000_000
    with closing(open_sql_ledger(url)) as ledger:
        for first in range(1, count + 1, 5000):
            ledger.append(arrivals(first, 5000))
        began, kills, outage = time.monotonic(), 0, False
        while position(own_shared) < count:
            with process(url, own_shared) as running:
                reached = position(own_shared)
                goal = min(count, reached + chance.randint(20_000, 120_000))
                until(lambda: position(own_shared) >= goal)  # noqa: B023 - used at once
                if not outage and reached > count // 2:
                    outage = True
                    click.echo(f"resident KB before and after the outage: {sit_out(own_shared, running)}")
                elif chance.random() < 0.3:
                    own_shared.server.kill()
                    own_shared.server.start()
                kills += 1
        click.echo(f"{kills} kills, {time.monotonic() - began:.0f} s")
    assert outage
    level(url, own_shared)


def sit_out(shared: Shared, running: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Ten minutes without the server. The process lives, its memory does not grow, and it goes on by itself within its
    longest delay."""
    shared.server.kill()
    before, deadline = resident_kb(running), time.monotonic() + OUTAGE_SECONDS
    until(lambda: time.monotonic() >= deadline or running.poll() is not None, OUTAGE_SECONDS + 60)
    assert running.poll() is None
    after = resident_kb(running)
    assert after < before + 20_000
    shared.server.start()
    came_to = position(shared)
    until(lambda: position(shared) > came_to, 60.0)
    return before, after


def resident_kb(running: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{running.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
