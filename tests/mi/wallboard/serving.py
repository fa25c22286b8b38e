"""A wallboard that is really served, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from edge.ledger.store import open_reader
from edge.mi.wallboard.access import Sessions, Visitor
from edge.mi.wallboard.feed import Feed
from edge.mi.wallboard.live import Live
from edge.mi.wallboard.routes import Board, NotLetInError, router
from edge.views.reading import whole_call

METRICS = Visitor("t1", "board", frozenset({"metrics"}))
CALLS = Visitor("t2", "supervisor", frozenset({"metrics", "calls"}))
NUMBERS = Visitor("t3", "investigator", frozenset({"metrics", "calls", "numbers"}))
FACTS = Visitor("t4", "reader", frozenset({"facts"}))


@dataclass
class Desk:
    """Tokens in the test's hands, and what was disclosed."""

    tokens: dict[str, Visitor] = field(
        default_factory=lambda: {
            "for-board": METRICS,
            "for-calls": CALLS,
            "for-numbers": NUMBERS,
            "for-facts": FACTS,
        }
    )
    looked: list[tuple[str, str | None]] = field(default_factory=list)

    async def let_in(self, text: str, address: str) -> Visitor:
        """Who has this token."""
        visitor = self.tokens.get(text)
        if visitor is None:
            raise NotLetInError("This token is not known.")
        if "metrics" not in visitor.scopes:
            raise NotLetInError("This token lacks the scope metrics.", 403)
        return visitor

    def still(self, token_id: str) -> Visitor | None:
        """Who has the token of this id."""
        return next((visitor for visitor in self.tokens.values() if visitor.token_id == token_id), None)


def board_over(live: Live, url: str, desk: Desk) -> Board:
    """The board."""

    def read_call(call_id: str):  # type: ignore[no-untyped-def]
        with contextlib.closing(open_reader(url)) as reader:
            return whole_call(reader, call_id)

    return Board(
        feed=Feed(live),
        site=live.site,
        sessions=Sessions(desk.still),
        let_in=desk.let_in,
        read_call=read_call,
        key=lambda: b"k" * 32,
        disclose=lambda visitor, _, call_id: desk.looked.append((visitor.name, call_id)),
        is_secure=False,
    )


@contextlib.contextmanager
def served(make: Callable[[], Board]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Its address, and what cuts it off: the server ends."""

    loops: list[tuple[asyncio.AbstractEventLoop, Board]] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.board = made = make()
        loops.append((asyncio.get_running_loop(), made))
        looking = asyncio.create_task(made.feed.run())
        yield
        await looking

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        options = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
        server = uvicorn.Server(options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.01)

        def cut() -> None:
            if thread.is_alive():
                [(loop, made)] = loops
                asyncio.run_coroutine_threadsafe(made.feed.close(), loop).result(10)
                server.should_exit = True
                thread.join(10)

        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut
        finally:
            cut()
