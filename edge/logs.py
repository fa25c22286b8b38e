"""The log: structured, on standard error, for systemd's journal. Numbers of callers and secrets never reach it.

Reasons and errors are written in ids of calls and numbers of agents; `redact` is the net under that rule: digits that
could be a telephone number are masked wherever they stand in an event.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

_NUMBER = re.compile(r"(?<![\w.-])\+?\d{7,15}(?![\w:-]|\.\d)")
"""Seven to fifteen digits standing alone (E.164): not part of a call id or a decimal number."""


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask what looks like a telephone number in every text of an event."""
    return {
        key: _NUMBER.sub("<number>", value) if isinstance(value, str) and key != "timestamp" else value
        for key, value in event.items()
    }


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Log from `level` up, as JSON lines or for a terminal. The libraries' own records come the same way."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
