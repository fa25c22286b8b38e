"""The log: structured, on standard error, for systemd's journal. Numbers of callers and secrets never reach it.

Nobody waits for it: a reader that does not read, a full disk or a closed pipe costs lines, which are counted, and no call.

Reasons and errors are written in ids of calls and numbers of agents; `redact` is the net under that rule: digits that
could be a telephone number are masked wherever they stand in an event.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from threading import get_ident
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

_NUMBER = re.compile(r"(?<![\w.-])\+?\d{7,15}(?![\w:-]|\.\d)")
"""Seven to fifteen digits standing alone (E.164): not part of a call id or a decimal number."""


CHUNK_BYTES = select.PIPE_BUF
"""A pipe that says it can be written takes as much without making us wait (poll(2), pipe(7))."""
ROOM_BYTES = 128
"""What a line about lost ones takes at most, and the end of a torn one."""


class Unblocked:
    """A stream to a file descriptor that never makes anybody wait and never fails. What it cannot write is lost, and counted: the
    first line that goes through again says how many were."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._torn = False
        self._held: list[bytes] = []
        self._holder: int | None = None
        """The thread whose lines are held, if any are."""
        self.lost = 0
        """Lines, since the last that went through."""

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes inside leaves at its end, as many lines at once as go through. Others wait for nothing."""
        self._holder = get_ident()
        try:
            yield
        finally:
            self._holder = None
            held, self._held = self._held, []
            for lines in _portions(held):
                self._write(lines)

    def write(self, text: str) -> int:
        """Write a line whole, or count it as lost."""
        data = text.encode("utf-8", "backslashreplace")
        if self._holder is not None and self._holder == get_ident():
            self._held.append(data)
        else:
            self._write([data])
        return len(text)

    def _write(self, lines: Sequence[bytes]) -> None:
        """Lines that fit into one chunk, or one that does not."""
        data = b"".join(lines)
        if self._torn:
            data = b"\n" + data  # half a line stands there: it must not spoil this one
        if self.lost:
            data = (
                f'{{"event": "log.lines_lost", "lines": {self.lost}, "level": "warning"}}\n'.encode() + data
            )
        if self._put(data):
            self._torn, self.lost = False, 0
        else:
            self.lost += len(lines)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return os.isatty(self._descriptor)

    def _put(self, data: bytes) -> bool:
        with contextlib.suppress(OSError):  # ENOSPC, EFBIG, EPIPE, EIO: none of them is worth a call
            while data:
                if not self._poll.poll(0):
                    break
                written = os.write(self._descriptor, data[:CHUNK_BYTES])
                data = data[written:]
                self._torn = bool(data)
        return not data


def _portions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, so many together as fit into one chunk with what may stand before them."""
    portion, size = list[bytes](), 0
    for line in lines:
        if portion and size + len(line) > CHUNK_BYTES - ROOM_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    if portion:
        yield portion


def together() -> contextlib.AbstractContextManager[None]:
    """While it lasts, the lines of this thread are gathered, and leave in a few writes at its end: for many lines at once."""
    return _stream.together() if isinstance(_stream, Unblocked) else contextlib.nullcontext()


def standard_error() -> TextIO:
    """Where the log goes; what a test has put in its place, if that is no file."""
    try:
        return cast("TextIO", Unblocked(sys.stderr.fileno()))
    except (OSError, ValueError):
        return sys.stderr


_stream: object = None
"""Where `configure` has the log go."""


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask what looks like a telephone number in every text of an event."""
    return {
        key: _NUMBER.sub("<number>", value) if isinstance(value, str) and key not in _OUR_OWN else value
        for key, value in event.items()
    }


_OUR_OWN = frozenset({"timestamp", "level"})


def _as_json(event: EventDict, default: Callable[[Any], Any]) -> str:
    return _encoder(default).encode(event)


@cache
def _encoder(default: Callable[[Any], Any]) -> json.JSONEncoder:
    """One for all lines: `json.dumps` would make one for each."""
    return json.JSONEncoder(ensure_ascii=True, default=default)


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Log from `level` up, as JSON lines or for a terminal. The libraries' own records come the same way."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(_as_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    global _stream  # noqa: PLW0603 - structlog's own configuration is one for the process, too
    threshold = logging.getLevelNamesMapping()[level.upper()]
    _stream = stream = standard_error()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
