"""The process that makes pages ahead: `python -m edge.mi.page_process`, started by `edge.mi.page_maker` and by nobody else.

What is wanted comes by standard input, pages go by standard output; it ends when its input does, so it never outlives `edge mi`,
however that dies. Each message is two lengths, a head (MessagePack), and bytes as they are.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import sys
from dataclasses import replace
from typing import BinaryIO

import msgspec

from edge.housekeeping import collect_seldom
from edge.ledger.store import SqlReader, open_reader
from edge.mi.cursors import Cursors
from edge.mi.facts_page import FactsMade, Wanted, make
from edge.mi.stream import MovedError
from edge.ports import LedgerError
from edge.views.caller import read_key

LENGTHS = struct.Struct("<II")
"""Of the head and of what follows it."""
NOTHING = LENGTHS.pack(0, 0)
"""Said once it has started, and of a page that could not be made."""
PIPE_BYTES = 1024 * 1024
"""What the pipe holds, so that a page is handed over in a few portions; Linux lets anybody have so much."""


class Beginning(msgspec.Struct, frozen=True):
    """What it is told first."""

    ledger_url: str
    cursor_key: bytes


class _Source:
    """The ledger, opened once there is one, and the keys."""

    def __init__(self, beginning: Beginning) -> None:
        self._url = beginning.ledger_url
        self._cursors = Cursors(beginning.cursor_key)
        self._reader: SqlReader | None = None
        self._caller_key: bytes | None = None

    def make(self, wanted: Wanted) -> FactsMade:
        """The page. Raises `MovedError` and `LedgerError`."""
        if self._reader is None:
            self._reader = open_reader(self._url, kept=True)
        if self._caller_key is None:
            self._caller_key = read_key(self._url)
        return make(self._reader, self._cursors, self._caller_key, wanted)


def message(head: bytes, body: bytes = b"") -> bytes:
    """As it goes through a pipe."""
    return LENGTHS.pack(len(head), len(body)) + head + body


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Make what is asked for until nobody asks any more."""
    if (first := _head(asked)) is None:
        return
    source = _Source(msgspec.msgpack.decode(first, type=Beginning))
    decode = msgspec.msgpack.Decoder(Wanted).decode
    told.write(NOTHING)
    told.flush()
    while (head := _head(asked)) is not None:
        try:
            made = source.make(decode(head))
        except (MovedError, LedgerError):
            told.write(NOTHING)  # who asks for the page is told why
        else:
            about = msgspec.msgpack.encode(replace(made, body=b""))
            told.write(LENGTHS.pack(len(about), len(made.body)))
            told.write(about)
            told.write(made.body)
        told.flush()


def _head(asked: BinaryIO) -> bytes | None:
    lengths = asked.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    return asked.read(LENGTHS.unpack(lengths)[0])


def main() -> None:
    """Signals are for `edge mi`: a stop of the whole unit must not take the pages that it still sends. Without it there is nobody
    to write to, and no more to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library may print is no page
    fcntl.fcntl(told, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    collect_seldom()
    serve(sys.stdin.buffer, told)


if __name__ == "__main__":
    main()
