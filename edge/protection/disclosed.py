"""To whom a caller's data was given by `edge mi`: from its log of disclosures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.mi.disclosures import Disclosure

PAGE = 1000
FACTS = "facts"
"""The one resource whose positions are the ledger's own sequences."""


def disclosed(directory: Path, sequences: Sequence[int], since_utc_us: int) -> Iterator[dict[str, Any]]:
    """Every pull with numbers that had one of these facts in it, or may have had: of another resource, since that time.

    `directory`: of `edge mi`; without its file nothing was given to anybody. Raises `LedgerError`.
    """
    from edge.mi.disclosures import Disclosures
    from edge.mi.store import FILE, open_store

    if not (directory / FILE).is_file():
        return
    store = open_store(directory)
    try:
        log, after = Disclosures(store, lambda: 0), 0
        while page := log.page(after, PAGE):
            for each in page:
                certain = _had_one(each, sequences)
                if each.numbers and each.count and (certain or _may_have(each, since_utc_us)):
                    yield _shown(each, certain)
            after = page[-1].disclosure
    finally:
        store.close()


def _had_one(each: Disclosure, sequences: Sequence[int]) -> bool:
    if each.resource != FACTS or each.first_position is None or each.last_position is None:
        return False
    return any(each.first_position <= sequence <= each.last_position for sequence in sequences)


def _may_have(each: Disclosure, since_utc_us: int) -> bool:
    return each.resource != FACTS and each.at_utc_us >= since_utc_us


def _shown(each: Disclosure, certain: bool) -> dict[str, Any]:
    return {
        "utc_us": each.at_utc_us,
        "reader": each.reader,
        "resource": each.resource,
        "purpose": each.purpose,
        "certain": certain,
    }
