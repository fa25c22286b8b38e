"""To whom a caller's data was given by `edge mi`, from its log of disclosures; and how long that log is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.ledger.maintenance import Warrant
    from edge.ledger.store import SqlLedger
    from edge.mi.disclosures import Disclosure, Disclosures

PAGE = 1000
FACTS = "facts"
"""The one resource whose positions are the ledger's own sequences."""


def disclosed(directory: Path, sequences: Sequence[int], since_utc_us: int) -> Iterator[dict[str, Any]]:
    """Every pull with numbers that had one of these facts in it, or may have had: of another resource, since that time.

    `directory`: of `edge mi`; without its file nothing was given to anybody. Raises `LedgerError`.
    """
    with _log(directory) as log:
        after = 0
        while log is not None and (page := log.page(after, PAGE)):
            for each in page:
                certain = _had_one(each, sequences)
                if each.numbers and each.count and (certain or _may_have(each, since_utc_us)):
                    yield _shown(each, certain)
            after = page[-1].disclosure


def older_disclosures(directory: Path, before_utc_us: int) -> int:
    """How many lines of the log are of pulls before this time. Raises `LedgerError`."""
    with _log(directory) as log:
        return 0 if log is None else log.count_older(before_utc_us)


def erase_disclosures(directory: Path, before_utc_us: int, ledger: SqlLedger, warrant: Warrant) -> int:
    """Delete them once that stands in the ledger's audit, none while there is a legal hold; how many. Raises `LedgerError`."""
    with _log(directory) as log:
        if log is None or ledger.holds() or not (lines := log.count_older(before_utc_us)):
            return 0
        with ledger.maintenance() as maintenance:
            maintenance.note(warrant, "retain disclosures", before_utc_us=before_utc_us, lines=lines)
        return log.erase_older(before_utc_us)


@contextmanager
def _log(directory: Path) -> Iterator[Disclosures | None]:
    """None where `edge mi` never was: nothing was given to anybody."""
    from edge.mi.disclosures import Disclosures
    from edge.mi.store import FILE, open_store

    if not (directory / FILE).is_file():
        yield None
        return
    store = open_store(directory)
    try:
        yield Disclosures(store, lambda: 0)
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
