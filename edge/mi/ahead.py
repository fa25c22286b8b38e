"""The next page of a reader that follows the record, made while it takes the last: reading and sending cost one time, not two.

A page made ahead is given only while the ledger is as it was when the page was read; nobody can tell it from one made at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from edge.mi.stream import Start

PAGES_AHEAD = 4
"""In memory at once, whoever they are for; where another is made, the oldest is dropped, and made when it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsMade:
    """A page of facts as it is sent, and what is said of it."""

    body: bytes
    cursor: str
    end: Start
    """Where the next one begins."""
    more: bool
    head_sequence: int
    head_hash: str
    count: int
    kept: int
    """Facts of it whose personal data is kept."""
    first: int
    last: int
    """Sequences; 0 in a page without facts."""


class Ahead:
    """Pages under way, one for each token. For the loop's thread alone; pages are made in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._made: OrderedDict[str, tuple[Hashable, Future[FactsMade]]] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many are under way or made, and not yet asked for."""
        return len(self._made)

    @property
    def ready(self) -> int:
        """How many of those are made."""
        return sum(page.done() for _, page in self._made.values())

    def begin(self, token_id: str, wanted: Hashable, make: Callable[[], FactsMade]) -> None:
        """Make what this token will ask for next."""
        self._drop(token_id)
        while len(self._made) >= PAGES_AHEAD:
            self._drop(next(iter(self._made)))
        self._made[token_id] = wanted, self._thread.submit(make)

    def take(self, token_id: str, wanted: Hashable) -> Future[FactsMade] | None:
        """What was begun for this token, if it is what it asks for now; it is kept no longer either way."""
        begun, page = self._made.pop(token_id, (None, None))
        if page is None or begun != wanted:
            if page is not None:
                page.cancel()
            return None
        return page

    def close(self) -> None:
        """Wait for the page that is being made, and make no other."""
        self._made.clear()
        self._thread.shutdown(cancel_futures=True)

    def _drop(self, token_id: str) -> None:
        _, page = self._made.pop(token_id, (None, None))
        if page is not None:
            page.cancel()
