"""A real server on loopback over a ledger of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from edge.config.sections import MiSection
from edge.ledger.store import open_sql_ledger
from edge.mi.application import create_app
from edge.mi.server import Server
from edge.mi.services import Services, open_services
from edge.mi.tokens import SCOPES
from edge.views.caller import ensure_key
from tests.mi.record import write

ANY_PORT = {"port": 0}


def ledger_of(directory: Path, calls: int) -> str:
    """A ledger with so many calls; its address."""
    url = f"sqlite:///{directory / 'ledger.sqlite'}"
    ledger = open_sql_ledger(url)
    ensure_key(url)
    write(ledger, calls)
    ledger.close()
    return url


@dataclass
class Served:
    """A running server, and a client of it."""

    server: Server
    services: Services
    session: aiohttp.ClientSession

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.server.port

    def token(self, *scopes: str, reader: str = "central", days: float = 1.0) -> str:
        """A token; with every scope when none is named."""
        return self.services.tokens.add(reader, scopes or SCOPES, days, "test")[1]

    async def get(self, path: str, token: str | None = None, **more: Any) -> Answer:
        """Ask for something."""
        return await self.ask("GET", path, token, **more)

    async def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> Answer:
        """Ask, and take the whole answer."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.server.url + path, headers=headers, **more) as got:
            return Answer(got.status, got.headers.copy(), await got.read(), await _json(got))


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes
    json: Any


async def _json(got: aiohttp.ClientResponse) -> Any:
    plain = "Content-Encoding" not in got.headers
    readable = got.content_type in ("application/json", "application/problem+json")
    return await got.json(content_type=None) if plain and readable else None


async def until(condition: Callable[[], object]) -> None:
    """Wait for it; the test's own time limit ends what never comes."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it looks at what others know
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[Served]:
    """A server over this ledger, and stopped at the end."""
    section = MiSection().model_copy(update={**ANY_PORT, **settings})
    services = open_services(url, section)
    server = Server(create_app(services), section)
    running = asyncio.create_task(server.run_until_stopped())
    await until(lambda: server.started or running.done())
    assert server.started
    connector = aiohttp.TCPConnector(limit=0, ssl=False)
    try:
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
        ) as session:
            yield Served(server, services, session)
    finally:
        server.should_exit = True
        await running
