"""The ARI link when there is too much to ask: bounded, and given up in time. The switch here is a server that never answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.errors import LinkError
from edge.pbx.asterisk.ari import client
from edge.pbx.asterisk.ari.client import AriClient


class Mute:
    """A switch that says nothing. `most`: connections it had at once."""

    url = ""
    most = 0
    _open = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the other side ends it."""
        self._open += 1
        self.most = max(self.most, self._open)
        await reader.read()
        self._open -= 1
        writer.close()


@pytest.fixture
async def mute() -> AsyncIterator[Mute]:
    """A server that takes connections and answers nothing."""
    made = Mute()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield made
    server.close()


async def test_claims_on_their_way_are_bounded(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nobody is claimed; and a claim that is not answered is given up, so that room is made."""
    monkeypatch.setattr(client, "MOST_CLAIMS", 3)
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.2)
    link = AriClient(mute.url, "edge", "", "edge", lambda _: None)
    for number in range(5):
        link.claim(f"1.{number}")
    assert len(link._claims) == 3
    await asyncio.gather(*link._claims)
    assert not link._claims
    await link.close()


async def test_requests_are_given_up_in_time(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as many as there are connections: no more are opened, and all are told that the outcome is unknown."""
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.3)
    link = AriClient(mute.url, "edge", "", "edge", lambda _: None)
    asked = [link._http.request("GET", mute.url + "ari/channels") for _ in range(3 * client.CONNECTIONS)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(end) for end in ends} == {LinkError}
    assert 0 < mute.most <= client.CONNECTIONS
    await link.close()
