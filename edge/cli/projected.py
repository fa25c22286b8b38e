"""The projection that figures are computed from, level with the site's ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli import output
from edge.cli.places import Site, reading
from edge.housekeeping import give_way

if TYPE_CHECKING:
    from edge.mi.projection import Projection


@contextmanager
def projected(here: Site, *, quiet: bool = False) -> Iterator[Projection]:
    """That of `edge mi` where it is of this ledger, else one made for the moment, which takes a while for a large ledger.

    Unless `quiet`, a person at a terminal sees how far it is. The process gives way to calls from here on. Raises `LedgerError`.
    """
    from edge.metrics.asking import projection_of
    from edge.views.caller import read_key

    give_way()
    screen, directory, key = output.console(stderr=True), _directory(here), read_key(here.ledger_url)
    with reading(here.ledger_url) as reader:
        if quiet or not screen.is_terminal:
            with projection_of(reader, directory, key) as made:
                yield made
            return
        from rich.progress import Progress

        with Progress(console=screen, transient=True) as bar:
            task = bar.add_task("facts folded")
            told: Callable[[int, int], None] = lambda done, total: bar.update(  # noqa: E731
                task, completed=done, total=total
            )
            with projection_of(reader, directory, key, told) as made:
                bar.stop()
                yield made


def _directory(here: Site) -> Path | None:
    """Of `edge mi`. None for a ledger named by hand: what stands there is of the site's own, and would be folded anew."""
    from edge.errors import PermanentError
    from edge.mi.places import directory_of

    if here.is_other:
        return None
    try:
        return directory_of(here.ledger_url, here.mi_directory)
    except PermanentError:
        return None
