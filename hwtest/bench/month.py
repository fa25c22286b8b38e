"""A month of a large force, made up and folded, and kept between runs: to make a million calls takes minutes.

It stands in the cache folder, outside the checkout, named by how many calls it has and by the program that made it up: another
program makes another month, and the old one goes. Its projection says by itself when it has to be folded again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.ledger import bulk, chain, schema
from edge.ledger import synthesise as maker
from edge.ledger.store import open_reader
from edge.mi.projection import Projection, projection_file
from edge.views.caller import ensure_key
from hwtest.lab.apt import cache_directory, lock
from hwtest.lab.packages import LabError

FIRST, DAYS, NAME = datetime(2026, 10, 1, tzinfo=UTC), 31, "2026-10"
SEED = 1
BYTES_PER_CALL = 9_000
"""Ledger and projection, and what SQLite needs beside them meanwhile."""
PARTS = 10
"""So often it is said how far the making is."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Month:
    """One that is there."""

    folder: Path

    @property
    def url(self) -> str:
        """Of its ledger."""
        return f"sqlite:///{self.folder / 'ledger.db'}"

    @property
    def mi(self) -> Path:
        """What `edge mi` would keep of it."""
        return self.folder / "mi"

    def facts(self) -> int:
        """How many it has."""
        with closing(open_reader(self.url)) as reader:
            return reader.last_sequence()

    @contextmanager
    def projection(self) -> Iterator[Projection]:
        """As far as it has been folded."""
        key = ensure_key(self.url)
        with closing(open_reader(self.url)) as reader:
            made = Projection(reader, projection_file(self.mi), key)
            try:
                yield made
            finally:
                made.close()


@contextmanager
def kept(calls: int, progress: Progress, made: Callable[[Callable[[], None]], None]) -> Iterator[Month]:
    """The month of so many calls, this process's alone meanwhile. `made` carries out the making where it has to be.

    Raises `LabError`.
    """
    shelf = cache_directory() / "months"
    with lock(shelf, progress):
        folder = shelf / f"{calls}-{_maker()}"
        if not folder.exists():
            for old in [*shelf.glob(f"{calls}-*"), *shelf.glob("draft-*")]:
                shutil.rmtree(old)
            _need_room(shelf, calls)
            draft = shelf / f"draft-{calls}"
            draft.mkdir()
            made(lambda: _make(draft, calls, progress))
            draft.rename(folder)
        yield Month(folder)


def _make(draft: Path, calls: int, progress: Progress) -> None:
    told = in_parts(progress, f"a month of {calls} calls is made up in {draft.parent}, once")
    maker.synthesise(draft / "ledger.db", calls, SEED, FIRST, DAYS, told)


def _maker() -> str:
    """The program that makes it up: what it writes, and how."""
    content = hashlib.sha256()
    for module in (maker, bulk, chain, schema):
        content.update(Path(str(module.__file__)).read_bytes())
    return content.hexdigest()[:12]


def _need_room(shelf: Path, calls: int) -> None:
    free, needed = shutil.disk_usage(shelf).free, calls * BYTES_PER_CALL
    if free < needed:
        raise LabError(
            f"{shelf}: {free / 1e9:.1f} GB are free and a month of {calls} calls needs {needed / 1e9:.1f}; free some, or "
            "name another folder by EDGE101_CACHE"
        )


def in_parts(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Says how far it is, a tenth at a time."""
    said = -1

    def told(done: int, total: int) -> None:
        nonlocal said
        part = PARTS * done // max(1, total)
        if part > said:
            said = part
            progress(f"{what}: {100 * part // PARTS} %")

    return told
