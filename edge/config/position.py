"""Where in a TOML file a key stands. `tomllib` parses but keeps no positions, so the lines are scanned once more.

Only what a message needs: the line of each table header and of each key. A key inside an inline table or an array
has the line of the key that holds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"^\s*\[\s*({_KEY})\s*\]\s*(?:#.*)?$")
_ARRAY = re.compile(rf"^\s*\[\[\s*({_KEY})\s*\]\]\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY})\s*=")
_LONG_STRING = re.compile(r"\"\"\"|'''")


class Positions:
    """The line of every key of one TOML text."""

    def __init__(self, text: str) -> None:
        self._lines: Mapping[KeyPath, int] = dict(reversed(list(_scan(text))))

    def line(self, path: KeyPath) -> int:
        """The line (from 1) of the longest part of `path` that stands in the file; 1 when none does."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def _scan(text: str) -> Iterator[tuple[KeyPath, int]]:
    table: KeyPath = ()
    elements: Counter[KeyPath] = Counter()
    for number, line in _lines_outside_strings(text):
        if header := _ARRAY.match(line):
            name = _split(header[1])
            table = (*name, elements[name])
            elements[name] += 1
            yield table, number
        elif header := _TABLE.match(line):
            table = _split(header[1])
            yield from ((table[:length], number) for length in range(1, len(table) + 1))
        elif assignment := _ASSIGNMENT.match(line):
            path = _split(assignment[1])
            yield from (((*table, *path[:length]), number) for length in range(1, len(path) + 1))


def _lines_outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """Lines that begin outside a multi-line string, with their numbers."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside:
            yield number, line
        if len(_LONG_STRING.findall(line)) % 2:
            inside = not inside


def _split(key: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_PART, key))
