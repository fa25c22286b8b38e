"""The next page of a reader that follows the record, made while it takes the last: reading and sending cost one time, not two.

A page made ahead is given only while the ledger is as it was when the page was read; nobody can tell it from one made at once.
"""

from __future__ import annotations

from asyncio import Future
from collections import OrderedDict

from edge.mi.facts_page import FactsMade, Wanted
from edge.mi.page_maker import Order, PageMaker

PAGES_AHEAD = 4
"""In memory at once, whoever they are for; where another is made, the oldest is dropped, and made when it is asked for."""


class Ahead:
    """Pages under way, one for each token. For the loop's thread alone."""

    def __init__(self, maker: PageMaker) -> None:
        self.maker = maker
        self._begun: OrderedDict[str, Order] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many are under way or made, and not yet asked for."""
        return len(self._begun)

    @property
    def ready(self) -> int:
        """How many of those are made."""
        return sum(order.page.done() for order in self._begun.values())

    def begin(self, token_id: str, wanted: Wanted) -> None:
        """Make what this token will ask for next."""
        self._drop(token_id)
        while len(self._begun) >= PAGES_AHEAD:
            self._drop(next(iter(self._begun)))
        if (order := self.maker.begin(wanted)) is not None:
            self._begun[token_id] = order

    def take(self, token_id: str, wanted: Wanted) -> Future[FactsMade | None] | None:
        """What was begun for this token, if it is what it asks for now; it is kept no longer either way.

        A page whose turn has not come is quicker made at once.
        """
        order = self._begun.pop(token_id, None)
        if order is None:
            return None
        if order.wanted != wanted or not (order.under_way or order.page.done()):
            order.page.cancel()
            return None
        return order.page

    async def close(self) -> None:
        """Make no other."""
        self._begun.clear()
        await self.maker.close()

    def _drop(self, token_id: str) -> None:
        if (order := self._begun.pop(token_id, None)) is not None:
            order.page.cancel()
