"""Callers' numbers: each once in a run, all from the ranges Ofcom keeps for drama, so that they are nobody's."""

from __future__ import annotations

import re
from collections.abc import Iterator

_RANGES = (  # prefix, digits that follow
    ("07700900", 3),
    ("01632960", 3),
    ("03069990", 3),
    ("02079460", 3),
    *((f"0{area}4960", 3) for area in (113, 114, 115, 116, 117, 118, 121, 131, 141, 151, 161)),
    ("01914980", 3),
    ("02896496", 3),
    ("02920180", 3),
)
CALLERS = sum(10**digits for _, digits in _RANGES)
"""How many numbers there are."""
_COMPARED_DIGITS = 9
"""What the national and the international form of a number share."""


def caller_numbers() -> Iterator[str]:
    """`CALLERS` numbers in national form, each once; then the iterator ends."""
    for prefix, digits in _RANGES:
        for ending in range(10**digits):
            yield f"{prefix}{ending:0{digits}d}"


def comparable(number: str | None) -> str:
    """What identifies a number in whatever form it is written; empty for none."""
    return re.sub(r"\D", "", number or "")[-_COMPARED_DIGITS:]
