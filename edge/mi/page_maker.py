"""Pages made in a process of their own, so that the loop which sends them shares its interpreter with nobody who makes them.

The process is started when the first page is wanted ahead, and anew, after a rest, when it has died or answered nothing for
long. Nothing depends on it: a page that is not made here is made when it is asked for.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec
import structlog

from edge.mi.facts_page import FactsMade, Wanted
from edge.mi.page_process import LENGTHS, PIPE_BYTES, Beginning, message

COMMAND = (sys.executable, "-P", "-m", "edge.mi.page_process")
PAGES_BEGUN = 8
"""Wanted and not made, those included that nobody wants any more; beyond that a page is made when it is asked for."""
START_SECONDS = 60.0
MAKE_SECONDS = 10.0
"""No page takes so long, nor does starting take that: the process is ended."""
REST_SECONDS = 5.0
"""Until it is started anew."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Order:
    """A page that was begun."""

    wanted: Wanted
    page: asyncio.Future[FactsMade | None]
    """None when it could not be made."""
    under_way: bool = False
    """Whether its turn has come."""


class PageMaker:
    """The process, as the loop sees it. For the loop's thread alone."""

    def __init__(self, ledger_url: str, cursor_key: bytes) -> None:
        self._beginning = msgspec.msgpack.encode(Beginning(ledger_url, cursor_key))
        self._decode = msgspec.msgpack.Decoder(FactsMade).decode
        self._orders = asyncio.Queue[Order](maxsize=PAGES_BEGUN)
        self._serving: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self.process: Process | None = None
        """None while there is none."""

    def begin(self, wanted: Wanted) -> Order | None:
        """A page, made after those that were begun before it; None where it is not."""
        loop = asyncio.get_running_loop()
        if self._orders.full() or loop.time() < self._rests_until:
            return None
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(), name="pages ahead")
        order = Order(wanted, loop.create_future())
        self._orders.put_nowait(order)
        return order

    async def close(self) -> None:
        """End the process."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def _serve(self) -> None:
        try:
            await self._make_all()
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("the process that makes pages ahead ended", error=type(error).__name__)
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        finally:
            self._give_up()
            if self.process is not None:
                with suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
                self.process = None

    async def _make_all(self) -> None:
        self.process = process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, limit=PIPE_BYTES
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(message(self._beginning))
        async with asyncio.timeout(START_SECONDS):
            await self._answer(process.stdout)
        while True:
            order = await self._orders.get()
            if order.page.done():
                continue
            order.under_way = True
            made = None
            try:
                async with asyncio.timeout(MAKE_SECONDS):
                    process.stdin.write(message(msgspec.msgpack.encode(order.wanted)))
                    await process.stdin.drain()
                    made = await self._answer(process.stdout)
            finally:
                _tell(order, made)

    async def _answer(self, told: asyncio.StreamReader) -> FactsMade | None:
        head_length, body_length = LENGTHS.unpack(await told.readexactly(LENGTHS.size))
        head = await told.readexactly(head_length)
        body = await told.readexactly(body_length)
        return replace(self._decode(head), body=body) if head else None

    def _give_up(self) -> None:
        while not self._orders.empty():
            _tell(self._orders.get_nowait(), None)


def _tell(order: Order, made: FactsMade | None) -> None:
    if not order.page.done():  # nobody wants it any more
        order.page.set_result(made)
