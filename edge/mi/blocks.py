"""The columns of many calls side by side: figures of a month are read from these, and not call by call.

A block has what the rows of `CALLS` consecutive calls have, column after column. It is made when its calls are a day old, and may
be missing at any time: the rows are read then. It goes when one of its rows is written again, by a trigger of the file, in the
transaction that writes the row: so no program can forget it, not even one that knows of no blocks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from edge.mi import columns
from edge.mi.columns import CALL_FIELDS, WORK_FIELDS, Rows

CALLS = 4096
"""In a block: those whose numbers give its own when they are divided by this. Raise the projection's layout when it changes."""
SETTLED_US = 86_400_000_000
"""Calls that arrived so long ago seldom change, so that their block is seldom made in vain."""
_ENDS = (("over_us", "q"),)
"""When a call and all work on it had ended: no column that figures are made of, but by it they are found."""


def tables() -> Iterator[str]:
    """What makes them in a file. One of before there were any has none of these: they are added to it."""
    yield (
        "CREATE TABLE IF NOT EXISTS blocks ("
        "block INTEGER PRIMARY KEY, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, over_us INTEGER NOT NULL,"
        " calls INTEGER NOT NULL, work INTEGER NOT NULL, columns BLOB NOT NULL)"
    )
    yield "CREATE INDEX IF NOT EXISTS blocks_in_short ON blocks (first_us, last_us, over_us, calls, work)"
    for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        drop = f"DELETE FROM blocks WHERE block = {row}.number / {CALLS}"  # noqa: S608 - all of it is ours
        yield f"CREATE TRIGGER IF NOT EXISTS columns_{event.lower()} AFTER {event} ON columns BEGIN {drop}; END"


def missing(connection: sqlite3.Connection, calls: int, last_us: int) -> int | None:
    """The first block that can be made, of `calls` in all: its own are all there, and settled. `last_us`: of the last fact."""
    there = {block for (block,) in connection.execute("SELECT block FROM blocks INDEXED BY blocks_in_short")}
    settled = "SELECT 1 FROM columns WHERE number = ? AND arrived_us < ?"
    for block in range((calls + 1) // CALLS):
        last = (block + 1) * CALLS - 1, last_us - SETTLED_US
        if block not in there and connection.execute(settled, last).fetchone() is not None:
            return block
    return None


def make(connection: sqlite3.Connection, block: int) -> None:
    """One of them, in the transaction that goes on."""
    import numpy

    found = connection.execute(
        "SELECT over_us, flat, work FROM columns WHERE number >= ? AND number < ? ORDER BY number",
        (block * CALLS, (block + 1) * CALLS),
    ).fetchall()
    calls = columns.rows_of(CALL_FIELDS, [flat for _, flat, _ in found])
    work = columns.rows_of(WORK_FIELDS, [each for _, _, each in found])
    ends, arrived = numpy.array([end for end, _, _ in found], dtype="<i8"), calls["arrived_us"]
    packed = (
        ends.tobytes() + columns.side_by_side(calls, CALL_FIELDS) + columns.side_by_side(work, WORK_FIELDS)
    )
    times = int(arrived.min()), int(arrived.max()), int(ends.max())
    connection.execute(
        "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)",
        (block, *times, len(calls), len(work), packed),
    )


def read(connection: sqlite3.Connection, since_us: int, until_us: int) -> tuple[Rows, Rows]:
    """Calls that arrived before this time's end and, with all work on them, were not over before its begin; and that work."""
    found, begin = list[_Part](), 0
    there = connection.execute(
        "SELECT block, first_us, last_us, over_us, calls, work FROM blocks INDEXED BY blocks_in_short"
    ).fetchall()
    for block, first_us, last_us, over_us, calls, work in sorted(there):
        if begin < block:
            found.append(_rows(connection, begin, block, since_us, until_us))
        begin = block + 1
        if since_us <= first_us and last_us < until_us:
            found.append(_Part(calls, work, partial(_block, connection, block)))
        elif first_us < until_us and max(last_us, over_us) >= since_us:
            found.append(_ready(*_touching(connection, block, since_us, until_us)))
    found.append(_rows(connection, begin, None, since_us, until_us))
    return _joined(found)


class _Part(NamedTuple):
    """Some calls and work on them, not read yet: of a month only one block more than the result is in memory."""

    calls: int
    work: int
    read: Callable[[], tuple[Rows, Rows]]


def _ready(calls: Rows, work: Rows) -> _Part:
    return _Part(len(calls), len(work), lambda: (calls, work))


def _joined(parts: Sequence[_Part]) -> tuple[Rows, Rows]:
    """One after the other."""
    calls = columns.space_for(CALL_FIELDS, sum(part.calls for part in parts))
    work = columns.space_for(WORK_FIELDS, sum(part.work for part in parts))
    of_calls = of_work = 0
    for part in parts:
        some, of_them = part.read()
        columns.put(some, calls, of_calls)
        columns.put(of_them, work, of_work)
        of_calls, of_work = of_calls + part.calls, of_work + part.work
    return columns.rows_from(calls), columns.rows_from(work)


def _rows(connection: sqlite3.Connection, begin: int, end: int | None, since_us: int, until_us: int) -> _Part:
    """The same of calls that are in no block, between these blocks: by number, whatever indices there are, as they are few."""
    found = connection.execute(
        "SELECT flat, work FROM columns WHERE number >= ? AND number < ?"
        " AND +arrived_us < ? AND (+arrived_us >= ? OR +over_us >= ?) ORDER BY number",
        (begin * CALLS, columns.OPEN_US if end is None else end * CALLS, until_us, since_us, since_us),
    ).fetchall()
    return _ready(
        columns.rows_of(CALL_FIELDS, [flat for flat, _ in found]),
        columns.rows_of(WORK_FIELDS, [work for _, work in found]),
    )


def _block(connection: sqlite3.Connection, block: int) -> tuple[Rows, Rows]:
    """All of it."""
    calls, work, _ = _unpacked(connection, block)
    return calls, work


def _touching(connection: sqlite3.Connection, block: int, since_us: int, until_us: int) -> tuple[Rows, Rows]:
    """What touches this time."""
    import numpy

    calls, work, ends = _unpacked(connection, block)
    arrived = calls["arrived_us"]
    calls = calls.take((arrived < until_us) & ((arrived >= since_us) | (ends["over_us"] >= since_us)))
    return calls, work.take(numpy.isin(work["number"], calls["number"]))


def _unpacked(connection: sqlite3.Connection, block: int) -> tuple[Rows, Rows, Rows]:
    how_many, how_much, packed = connection.execute(
        "SELECT calls, work, columns FROM blocks WHERE block = ?", (block,)
    ).fetchone()
    ends, offset = columns.from_side_by_side(_ENDS, packed, how_many)
    calls, offset = columns.from_side_by_side(CALL_FIELDS, packed, how_many, offset)
    work, _ = columns.from_side_by_side(WORK_FIELDS, packed, how_much, offset)
    return calls, work, ends
