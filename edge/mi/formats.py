"""Facts as bytes: NDJSON, JSON and CSV, fast enough for a page of thousands between two breaths. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec

from edge.core.model import MICROSECONDS
from edge.mi.stream import Page
from edge.mi.vocabulary import EVENTS
from edge.views.caller import caller_id
from edge.views.times import rfc3339, second

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet run a cell, when it stands first (OWASP: CSV injection)."""


class Form(StrEnum):
    """How a page is written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class FactLine(msgspec.Struct, frozen=True, gc=False):
    """One fact as a reader gets it. The order is that of the columns of CSV."""

    id: str
    sequence: int
    kind: str
    event: str | None
    utc: str
    monotonic_ns: int
    switch_utc: str | None
    clock: str
    reason: str
    call_id: str | None
    agent: str | None
    number_hash: str | None
    erased: bool
    hash: str
    fact: msgspec.Raw
    personal: msgspec.Raw | None


COLUMNS = FactLine.__struct_fields__
encoder = msgspec.json.Encoder()


class _Numbers(msgspec.Struct):
    """The numbers that personal fields of facts may hold, by their names there."""

    caller_number: str | None = None
    number: str | None = None
    target: str | None = None


_numbers = msgspec.json.Decoder(_Numbers)


def fact_lines(page: Page, key: bytes | None, *, numbers: bool) -> list[FactLine]:
    """The facts of a page. Callers are a keyed hash; with `numbers` the personal fields are there, too."""
    prefix, seconds, event = page.ledger_id + "-", _Seconds(), EVENTS.get
    return [  # in one go: a call for each fact would cost a third more
        FactLine(
            f"{prefix}{sequence}",
            sequence,
            kind,
            event(kind),
            f"{seconds[utc_us // MICROSECONDS]}.{utc_us % MICROSECONDS:06d}Z",
            monotonic_ns,
            None if switch is None else rfc3339(switch),
            clock,
            reason,
            call_id,
            agent,
            None if own is None else _number_hash(own, key),
            digest is not None and own is None,
            link,
            msgspec.Raw(body),
            msgspec.Raw(own) if numbers and own is not None else None,
        )
        for sequence, kind, monotonic_ns, utc_us, switch, clock, reason, call_id, agent, body, digest, link, own in page.facts
    ]


class _Seconds(dict[int, str]):
    """Seconds of UTC as RFC 3339 writes them, each made once: a page has thousands of facts of a few."""

    def __missing__(self, utc_s: int) -> str:
        self[utc_s] = text = second(utc_s)
        return text


def _number_hash(own: str, key: bytes | None) -> str | None:
    found = _numbers.decode(own)
    return caller_id(key, found.caller_number or found.number or found.target)


def ndjson(lines: Sequence[msgspec.Struct]) -> bytes:
    """One line each."""
    return encoder.encode_lines(lines)


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV (RFC 4180) with a head; no cell of text is taken for a formula, whoever wrote it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell(value: object) -> object:
    """A value in a cell of CSV. What begins like a formula gets an apostrophe before it, as spreadsheets themselves write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value


def fact_csv(lines: Iterable[FactLine]) -> bytes:
    """Facts as CSV; what a fact says stands in one cell, as JSON."""
    get: Callable[[FactLine], list[object]] = lambda line: [getattr(line, name) for name in COLUMNS]  # noqa: E731
    return csv_bytes(COLUMNS, map(get, lines))
