"""Numbers in a result, masked: a report is attached to tickets, and a number may be a person's."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from hwtest.report.result import Run

_NUMBER = re.compile(r"(?<![\w.:/-])\+?[0-9](?:[ ()-]?[0-9]){6,14}(?![\w.])")
_LEFT = 2


def masked(text: str) -> str:
    """Text with telephone numbers cut to their last two digits. Figures have points, units or fewer digits."""
    return _NUMBER.sub(lambda found: f"…{re.sub('[^0-9]', '', found[0])[-_LEFT:]}", text)


def redacted(run: Run) -> Run:
    """A result whose texts hold no numbers. Names, codes, addresses and figures stay as they are."""
    made = msgspec.convert(_walk(msgspec.to_builtins(run)), Run)
    return msgspec.structs.replace(made, redacted=True)


_PROSE = frozenset(
    {"summary", "text", "notes", "note", "reason", "mend", "label", "title", "content", "evidence"}
)


def _walk(value: Any, key: str = "") -> Any:
    match value:
        case dict():
            return {name: _walk(inner, name) for name, inner in value.items()}
        case list() | tuple():
            return [_walk(inner, key) for inner in value]
        case str() if key in _PROSE:
            return masked(value)
    return value
