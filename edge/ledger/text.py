"""Text as strangers write it, kept whole where the database cannot hold every character."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

NUL = "\0"
MARK = "\ufdd0"
"""No character (Unicode, 23.7): it begins what stands for a NUL, and for itself. Nobody writes it, so text stays as it is."""


def without_nul(text: str) -> str:
    """`text` as PostgreSQL can keep it: it takes every character but U+0000."""
    if NUL not in text and MARK not in text:
        return text
    return text.replace(MARK, MARK + "1").replace(NUL, MARK + "0")


def with_nul(kept: str) -> str:
    """What `without_nul` was given."""
    return kept.replace(MARK + "0", NUL).replace(MARK + "1", MARK) if MARK in kept else kept


class AnyText(TypeDecorator[str]):
    """The text of a PostgreSQL column that may hold a NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """On the way in."""
        return None if value is None else without_nul(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """On the way out."""
        return None if value is None else with_nul(value)
