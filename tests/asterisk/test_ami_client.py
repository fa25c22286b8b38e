"""The AMI link against a switch that is wrong in every way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from edge.errors import LinkError, PermanentError, RefusedError
from edge.pbx.asterisk.ami import client as module
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ami.client import AmiClient

Reply = Callable[[dict[str, str]], str | None]
ACCEPTED = "Response: Success\r\nMessage: Authentication accepted"
BOOTED = "Event: FullyBooted"


class Switch:
    """Answers each action with what `reply` makes of it; None: nothing."""

    def __init__(self, reply: Reply) -> None:
        self.actions: list[dict[str, str]] = []
        self._reply = reply
        self.connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections.add(cast("asyncio.Task[None]", asyncio.current_task()))
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                frame = (await reader.readuntil(b"\r\n\r\n")).decode()
                action = dict(line.split(": ", 1) for line in frame.strip().split("\r\n"))
                self.actions.append(action)
                answer = ACCEPTED if action["Action"] == "Login" else self._reply(action)
                if answer == "drop":
                    writer.transport.abort()
                elif answer is not None:
                    writer.write(f"{answer}\r\nActionID: {action['ActionID']}\r\n\r\n".encode())
                    if action["Action"] == "Login":
                        writer.write(f"{BOOTED}\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def linked(reply: Reply) -> AsyncIterator[tuple[AmiClient, Switch]]:
    """A client that is logged in at such a switch."""
    switch = Switch(reply)
    server = await asyncio.start_server(switch.serve, "127.0.0.1", 0)
    client = AmiClient(
        "127.0.0.1", server.sockets[0].getsockname()[1], "edge", "secret", lambda message: None
    )
    try:
        await client.connect()
        yield client, switch
    finally:
        client.close()
        server.close()
        await asyncio.gather(*switch.connections)


async def test_connection_lost_before_the_answer_is_told_to_who_waits() -> None:
    """Nobody waits for ever for an answer that cannot come."""
    async with linked(lambda action: "drop") as (client, _):
        with pytest.raises(LinkError):
            await client.ask("Setvar", {"Channel": "x"})


async def test_unanswered_action_is_given_up_and_never_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome is unknown: to repeat it might do it twice."""
    monkeypatch.setattr(module, "ACTION_SECONDS", 0.01)
    async with linked(lambda action: None) as (client, switch):
        with pytest.raises(LinkError):
            await client.ask("Redirect", {"Channel": "x"})
        assert [action["Action"] for action in switch.actions] == ["Login", "Redirect"]


async def test_mute_switch_is_found_by_its_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is open and silent is no link."""
    monkeypatch.setattr(module, "ACTION_SECONDS", 0.01)
    monkeypatch.setattr(module, "PING_SECONDS", 0.01)
    async with linked(lambda action: None) as (client, _):
        with pytest.raises(LinkError, match="pings"):
            await client.watch()


async def test_refusal_is_told_in_the_switchs_words() -> None:
    """The link is fine; this one thing was refused."""
    async with linked(lambda action: "Response: Error\r\nMessage: No such channel") as (client, _):
        with pytest.raises(RefusedError, match="No such channel"):
            await client.ask("Setvar", {"Channel": "x"})


async def test_told_action_reports_only_a_refusal() -> None:
    """A renewal is not waited for, but a channel that is gone is noticed."""
    refused = asyncio.Event()
    async with linked(lambda action: "Response: Error") as (client, _):
        client.tell("Setvar", {"Channel": "x"}, refused.set)
        async with asyncio.timeout(2):
            await refused.wait()


async def test_wrong_password_says_what_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again cannot help."""
    monkeypatch.setattr(f"{__name__}.ACCEPTED", "Response: Error\r\nMessage: Authentication failed")
    with pytest.raises(PermanentError, match=r"manager\.conf"):
        async with linked(lambda action: None):
            pass


async def test_no_asterisk_is_a_link_error() -> None:
    """A switch that is not running will be tried again."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(LinkError, match="Is Asterisk running"):
        await AmiClient("127.0.0.1", port, "edge", "secret", lambda message: None).connect()


async def test_list_gives_its_items_without_its_frame() -> None:
    """The first answer and the closing event are no items."""
    listing = "Response: Success\r\nEventList: start\r\nMessage: List follows\r\nActionID: {0}\r\n\r\n"
    listing += "Event: QueueMember\r\nName: 1001\r\nActionID: {0}\r\n\r\n"
    listing += "Event: QueueStatusComplete\r\nEventList: Complete"
    async with linked(lambda action: listing.format(action["ActionID"])) as (client, _):
        items = await client.list("QueueStatus", {})
    assert [wire.text(item, "Name") for item in items] == ["1001"]
