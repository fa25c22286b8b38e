"""Another party's counts, read from CSV: Asterisk's call detail records, and BT's figures of 999 calls.

A row that cannot be read is an error that names its line and says what stands there and what would be right.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.errors import PermanentError
from edge.metrics.periods import utc_us
from edge.pbx.asterisk.identity import is_own_leg
from edge.pbx.asterisk.record.wire import microseconds

CDR_COLUMNS = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
)
"""Of Master.csv, which has no header; `loguniqueid = yes` in cdr.conf writes the last two."""
OUR_CDR_COLUMNS = (
    "uniqueid",
    "linkedid",
    "channel",
    "dstchannel",
    "start",
    "answer",
    "end",
    "disposition",
    "lastapp",
    "userfield",
)
"""Of cdr-custom/edge101.csv, which our edge101-cdr_custom.conf has Asterisk write: times of UTC, to the microsecond."""
CDR_NEEDED = ("start", "end", "disposition", "uniqueid")
BT_FIGURES = {
    "answered": "999 calls answered",
    "under_10": "answered in under 10 s",
    "from_10_to_60": "answered at 10 to under 60 s",
    "over_60": "answered at 60 s and over",
    "mean_seconds": "mean seconds to answer",
}
"""Columns beside `period`, any of them."""
PERIOD = re.compile(r"\d{4}-\d{2}(-\d{2})?|\d{4}-Q[1-4]|\d{4}")


class TheirsError(PermanentError):
    """The file cannot be used: which line, what stands there, and what would be right."""


@dataclass(slots=True, kw_only=True)
class TheirCall:
    """One call as the switch's own records have it, all its rows together. Microseconds of UTC; of Master.csv whole seconds."""

    key: str
    started_us: int
    ended_us: int
    answered: bool
    line: int
    """Of the file, where its first row stands."""


def read_cdr(file: Path, zone: ZoneInfo | None) -> dict[str, TheirCall]:
    """By uniqueid, without the legs that we dialled: they are of calls that came by another.

    `zone`: in which the switch wrote its times; None: UTC (usegmtime = yes). Raises `TheirsError`.
    """
    calls: dict[str, TheirCall] = {}
    for line, row in _rows(file, _cdr_columns, CDR_NEEDED):
        key = row["uniqueid"]
        if is_own_leg(key):
            continue
        if not key:
            raise TheirsError(
                f"{file}:{line}: uniqueid is empty: calls are matched by it. Set loguniqueid = yes in cdr.conf and export again."
            )
        started, ended = (_moment(file, line, name, row[name], zone) for name in ("start", "end"))
        answered = row["disposition"].upper() == "ANSWERED"
        if (known := calls.get(key)) is None:
            calls[key] = TheirCall(key=key, started_us=started, ended_us=ended, answered=answered, line=line)
        else:
            known.started_us, known.ended_us = min(known.started_us, started), max(known.ended_us, ended)
            known.answered = known.answered or answered
    return calls


def _cdr_columns(cells: Sequence[str]) -> Sequence[str]:
    """Of a file without a header; none: of no kind that is known."""
    if len(cells) == len(OUR_CDR_COLUMNS) and microseconds(cells[OUR_CDR_COLUMNS.index("start")]) is not None:
        return OUR_CDR_COLUMNS
    return CDR_COLUMNS if len(cells) >= len(CDR_COLUMNS) - 1 else ()


def read_bt(file: Path) -> dict[str, dict[str, float]]:
    """Figures by period (2026-10, 2026-10-25, 2026-Q4 or 2026). Raises `TheirsError`."""
    periods: dict[str, dict[str, float]] = {}
    for line, row in _rows(file, lambda _: (), ("period",)):
        period = row["period"]
        if not PERIOD.fullmatch(period):
            raise TheirsError(
                f"{file}:{line}: period is {period!r}: write 2026-10, 2026-10-25, 2026-Q4 or 2026"
            )
        if period in periods:
            raise TheirsError(f"{file}:{line}: period {period} is there twice: leave one row for each")
        named = {name: row[name] for name in BT_FIGURES if row.get(name)}
        if not named:
            raise TheirsError(
                f"{file}:{line}: there is no figure: name columns among {', '.join(BT_FIGURES)}"
            )
        periods[period] = {name: _number(file, line, name, text) for name, text in named.items()}
    return periods


def _rows(
    file: Path, columns_of: Callable[[Sequence[str]], Sequence[str]], needed: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row by column, with its line. The first row names the columns, or they are known by its values (`columns_of`)."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened)
            names: Sequence[str] | None = None
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if names is None:
                    named = [cell.lower() for cell in cells]
                    is_header = set(needed) <= set(named)
                    names = named if is_header else columns_of(cells)
                    if not names:
                        raise TheirsError(
                            f"{file}:{reader.line_num}: the first row must name the columns, among them {', '.join(needed)}"
                        )
                    if is_header:
                        continue
                yield (
                    reader.line_num,
                    dict(zip(names, cells, strict=False))
                    | {name: "" for name in needed if name not in names[: len(cells)]},
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = error.strerror if isinstance(error, OSError) else "is no CSV in UTF-8"
        raise TheirsError(f"{file}: cannot be read: {what}") from error


def _moment(file: Path, line: int, name: str, text: str, zone: ZoneInfo | None) -> int:
    if (exactly := microseconds(text)) is not None:
        return exactly
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise TheirsError(
            f"{file}:{line}: {name} is {text!r}: write a time such as 2026-10-25 14:00:00"
        ) from error
    return utc_us(at if at.tzinfo is not None else at.replace(tzinfo=zone or UTC))


def _number(file: Path, line: int, name: str, text: str) -> float:
    try:
        number = float(text.replace(",", ""))
    except ValueError as error:
        raise TheirsError(f"{file}:{line}: {name} is {text!r}: write a number") from error
    if not 0 <= number < 1e12:
        raise TheirsError(f"{file}:{line}: {name} is {text!r}: write a number that is not negative")
    return number
