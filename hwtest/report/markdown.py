"""Tables of the pages that are made from results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from edge.cli.output import clean

NONE = "-"
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, and an empty line behind it."""
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row([cell(text) or NONE for text in row]) for row in rows)
    yield ""


def cell(text: str) -> str:
    """A text in one cell of one line, whatever it holds."""
    return clean(" ".join(_TAG.sub("&lt;", text.replace("|", "\\|")).split()))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
