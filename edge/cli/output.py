"""How the command line speaks: tables for people, JSON for programs, and nothing of a stranger's that a terminal obeys.

Times in JSON are `{"utc": RFC 3339 in UTC with microseconds, "monotonic_ns": nanoseconds}`; durations are seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge.core.model import MICROSECONDS, Instant
from edge.views.times import rfc3339 as rfc3339

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

WIDE = 10_000
"""Columns of an output that is no terminal: nothing is ever cut there."""


def json_option(function: F) -> F:
    """`--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="For programs: stable, documented in docs/cli.md."
    )(function)


def numbers_option(function: F) -> F:
    """`--numbers`."""
    return click.option(
        "--numbers",
        is_flag=True,
        help="Show callers' names and whole numbers. This is a disclosure of personal data: have a reason for it.",
    )(function)


def now() -> Instant:
    """This moment."""
    return Instant(time.monotonic_ns(), time.time_ns() // 1000)


def age_seconds(at: Instant, at_now: Instant) -> float:
    """Since `at`, by UTC: a reader may look at a ledger of another machine or boot, whose monotonic clock is not ours."""
    return max(0.0, (at_now.utc_us - at.utc_us) / MICROSECONDS)


def clean(text: object) -> str:
    """Text on one line that no terminal obeys: control, format and other unprintable characters are shown as escapes."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in str(text)
    )


def emit(value: object, indent: int | None = 2) -> None:
    """JSON in ASCII: no character of a stranger's reaches the terminal as itself."""
    click.echo(json.dumps(value, indent=indent, allow_nan=False))


def local(at: Instant | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Local time; `%z` is its offset from UTC, which tells apart the two 01:30 of a day of 25 hours."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at.utc_us / MICROSECONDS, UTC).astimezone().strftime(form)


def clock(at: Instant) -> str:
    """Local time of day with milliseconds, cut and never rounded into the next."""
    return f"{local(at, '%H:%M:%S')}.{at.utc_us % MICROSECONDS // 1000:03d}"


def seconds(value: float | None, decimals: int = 1) -> str:
    """Seconds, nothing for None."""
    return "" if value is None else f"{value:.{decimals}f}"


def share(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def console(stderr: bool = False) -> Console:
    """Colours and widths of the terminal; on a pipe plain text of any width. NO_COLOR is respected (no-color.org)."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = WIDE
    return made


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table. A leading `>` in a column's name: of numbers, aligned to the right; `=`: of ids. Neither is cut or folded."""
    from rich.table import Table
    from rich.text import Text

    cells = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    made = Table(
        box=None, title=title and Text(clean(title)), title_justify="left", title_style="bold", pad_edge=False
    )
    for index, name in enumerate(columns):
        words, whole = name.lstrip(">="), name[0] in ">="
        longest = max([len(words), *(len(row[index]) for row in cells)])
        made.add_column(
            words,
            justify="right" if name[0] == ">" else "left",
            no_wrap=whole,
            min_width=longest if whole else None,
            overflow="fold",
        )
    for row in cells:
        made.add_row(*map(Text, row))
    return made


def text(words: object, style: str = "") -> Text:
    """Text as it is, no markup read in it."""
    from rich.text import Text

    return Text(clean(words), style=style)


def pairs(rows: Mapping[str, object]) -> Table:
    """Names and values, two columns without heads."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        made.add_row(text(name, "bold"), text(value))
    return made
