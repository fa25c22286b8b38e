"""Numbers in a result, masked: a report is attached to tickets, and a number may be a person's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from edge.cli.output import clean

_NUMBER = re.compile(r"(?:(?<![\w.])|(?<=%2[Bb]))(?:(?:\+|0|44)(?:[ ()-]{0,2}[0-9]){7,14}|[0-9]{9,15})(?!\w)")
"""As numbers are written: from a plus (in an address perhaps %2B), a zero or 44 on with marks between, or nine digits and more in
one."""
_LEFT = 2
_IDENTIFIERS = frozenset({"call_id", "fingerprint"})
"""Fields by which another finds the same thing: they are cleaned and not masked."""
S = TypeVar("S", bound=msgspec.Struct)


def masked(text: str) -> str:
    """On one line, without what a terminal obeys, telephone numbers cut to their last two digits."""
    return _NUMBER.sub(lambda found: f"…{re.sub('[^0-9]', '', found[0])[-_LEFT:]}", clean(text))


def redacted(result: S) -> S:
    """A result whose texts hold no numbers."""
    return msgspec.convert(_walk(msgspec.to_builtins(result), masked), type(result))


def cleaned(result: S) -> S:
    """A result with its numbers, and still without what a terminal obeys."""
    return msgspec.convert(_walk(msgspec.to_builtins(result), clean), type(result))


def _walk(value: Any, mask: Callable[[str], str], key: str = "") -> Any:
    match value:
        case dict():
            return {name: _walk(inner, mask, name) for name, inner in value.items()}
        case list() | tuple():
            return [_walk(inner, mask, key) for inner in value]
        case str():
            return clean(value) if key in _IDENTIFIERS else mask(value)
    return value
