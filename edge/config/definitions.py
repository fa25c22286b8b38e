"""`edge check`: the force's own definitions of figures, in the file beside the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from edge.config.findings import Finding, Level
from edge.config.model import Configuration
from edge.metrics import DEFINITIONS_FILE
from edge.metrics.book import Book, DefinitionsError, read_book
from edge.metrics.slips import Key


def check_definitions(path: Path, configuration: Configuration | None) -> Iterator[Finding]:
    """Findings about the definitions beside the configuration in `path`, if there are any."""
    file = path.parent / DEFINITIONS_FILE
    if not file.exists():
        return
    try:
        book = read_book(file)
    except DefinitionsError as error:
        for slip in error.slips:
            yield Finding(Level.ERROR, error.where(slip.key), slip.problem, slip.mend)
        return
    if configuration is not None:
        positions = DefinitionsError(file, ())
        for key, problem, mend in _unknown(book, configuration):
            yield Finding(Level.WARNING, positions.where(key), problem, mend)


def _unknown(book: Book, configuration: Configuration) -> Iterator[tuple[Key, str, str]]:
    """Names that no call of this configuration has: figures of them would be of nothing, and nobody would notice."""
    lines, queues, codes = configuration.lines, configuration.queues, configuration.wrap_up.codes
    for name in sorted(book.own):
        made = book.definitions[name]
        yield from _missing(("metric", name, "queues"), "queue", made.queues or (), queues)
        yield from _missing(("metric", name, "lines"), "line", made.lines or (), lines)
    for line, force in book.force_of_line.items():
        yield from _missing(("force", force, "lines"), "line", (line,), lines)
    yield from _missing(("demand", "internal_lines"), "line", sorted(book.internal_lines), lines)
    yield from _missing(("demand", "failure_codes"), "wrap-up code", sorted(book.failure_codes), codes)


def _missing(
    key: Key, what: str, named: Iterable[str], known: Iterable[str]
) -> Iterator[tuple[Key, str, str]]:
    there = list(known)
    for name in named:
        if name not in there:
            near = get_close_matches(name, there, n=1, cutoff=0.5)
            mend = f"Did you mean {near[0]}?" if near else f"Known there: {', '.join(there) or 'none'}."
            yield (
                key,
                f"{name} is no {what} of the configuration",
                f"{mend} Leave it if calls of the past had it.",
            )
