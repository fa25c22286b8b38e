"""The open target: what is closed, and what is opened again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import LinkError
from hwtest import site
from hwtest.lab.contract import Login
from hwtest.site import Site
from hwtest.target import Phone
from hwtest.useragent import AgentPhone, ignoring
from tests.probes.made import LIVE
from tests.probes.test_targets import answering


async def test_a_phone_that_is_given_up_while_it_registers_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a silent registrar is asked: the phone's port is free again."""
    made, asked = list[AgentPhone](), asyncio.Event()

    def phone(*arguments: Any, **more: Any) -> AgentPhone:
        made.append(AgentPhone(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(site, "AgentPhone", phone)
    async with answering(lambda _: asked.set()) as silent:
        known = Phone(user="test1", password="p", registrar=f"127.0.0.1:{silent.sip.port}")
        async with Site(replace(silent, phones={"test1": known}), tmp_path) as opened:

            async def register() -> None:
                async with opened.phone("test1", ignoring):
                    raise AssertionError

            task = asyncio.create_task(register())
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    port = made[0].agent.address[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


async def test_a_control_link_that_was_cut_is_made_again(tmp_path: Path) -> None:
    """A tunnel broke, or the switch was started anew: what follows is measured, by the other link."""
    links, ended = list[asyncio.StreamWriter](), asyncio.Queue[None]()

    async def manager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.append(writer)
        writer.write(b"Asterisk Call Manager/9.0.0\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while action := (await reader.readuntil(b"\r\n\r\n")).decode():
                number = action.partition("ActionID: ")[2].partition("\r\n")[0]
                writer.write(f"Response: Success\r\nActionID: {number}\r\nPing: Pong\r\n\r\n".encode())
                if "Action: Login" in action:
                    writer.write(
                        b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n"
                    )

        writer.close()
        ended.put_nowait(None)

    async with await asyncio.start_server(manager, "127.0.0.1", 0) as server:
        login = Login(host="127.0.0.1", port=server.sockets[0].getsockname()[1], user="u", password="p")
        async with Site(replace(LIVE, ami=login), tmp_path) as opened:
            first = await opened.control()
            assert await opened.control() is first
            links[0].transport.abort()
            with pytest.raises(LinkError):
                await first.watch()
            second = await opened.control()
            await second.ask("Ping", {})
        for _ in links:
            await asyncio.wait_for(ended.get(), 10)
    assert second is not first and len(links) == 2
