"""The ledger between processes: killed writers, readers beside them, and a second daemon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import IO

import pytest

from edge.core.facts import Entry
from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.store import erase, open_reader, open_sql_ledger, verify
from edge.ports import LedgerError

BATCH = 3
WRITER = f"""
import sys
from edge.ledger.measure import arrivals
from edge.ledger.store import open_ledger

ledger = open_ledger(sys.argv[1])
while True:
    last = ledger.last_sequence()
    ledger.append(arrivals(last + 1, {BATCH}))
    if last % 30 == 0:
        ledger.save_checkpoint(last, bytes(5000))
    print(last + {BATCH}, flush=True)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@contextmanager
def writing(url: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A daemon that appends as fast as it can and says each sequence once it is committed; killed at the end."""
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def test_a_killed_writer_leaves_everything_it_acknowledged(url: str) -> None:
    """After kill -9 at any moment the ledger is a sound chain of whole batches, up to at least the last acknowledged."""
    chance = Random(101)
    acknowledged = 0
    for _ in range(6):
        with writing(url) as (process, said):
            for _ in range(chance.randint(1, 80)):
                acknowledged = int(said.readline())
            process.kill()
            for line in said:
                acknowledged = int(line)
        verification = verify(url)
        assert verification.explanation == "the chain holds"
        assert verification.count in (acknowledged, acknowledged + BATCH)
    with closing(open_sql_ledger(url)) as survivor:
        assert list(survivor.read(0, 10_000)) == arrivals(1, verification.count)
        survivor.append(arrivals(verification.count + 1, 1))


def test_a_reader_beside_a_living_writer(url: str) -> None:
    """A reader in another process follows the writer by cursor: in order, whole batches, nothing twice; also verifies."""
    seen: list[Entry] = []
    with writing(url) as (process, said):
        said.readline()
        with closing(open_reader(url)) as reader:
            while len(seen) < 600:
                seen += reader.read(len(seen), 300 * BATCH)  # a page of whole batches
                assert len(seen) % BATCH == 0
            assert verify(reader).sound
            process.kill()
            process.wait()
            seen += reader.read(len(seen), 100_000)
            assert reader.last_sequence() == len(seen)
    assert seen == arrivals(1, len(seen))


def test_erasing_beside_a_living_writer(url: str) -> None:
    """Personal data is erased while the daemon goes on appending; neither disturbs the other."""
    with writing(url) as (_, said):
        while int(said.readline()) < 60:
            pass
        done = erase(url, sequences=range(1, 61), warrant=Warrant("ann", "test"))
        reached = max(int(said.readline()) for _ in range(50))
    verification = verify(url)
    assert (verification.sound, verification.erased, done.facts) == (True, 60, 60)
    assert verification.count >= reached


def test_a_second_daemon_is_told_who_holds_the_ledger(url: str) -> None:
    """The pid in the refusal is the first daemon's; when that one is killed, the next gets in at once."""
    with writing(url) as (process, said):
        said.readline()
        with pytest.raises(LedgerError, match=rf"another daemon writes to it \(pid {process.pid}\)"):
            open_sql_ledger(url)
    open_sql_ledger(url).close()
