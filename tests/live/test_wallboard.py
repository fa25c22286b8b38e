"""The wallboard in a real Chromium, served by `edge mi`, while real calls are served beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, Page, async_playwright

from edge.core import facts
from hwtest.lab.configuration import merged
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room

CHROMIUM = "/usr/bin/chromium"
LINE = "101_no_greeting"
PICTURES = os.environ.get("EDGE101_PICTURES")
"""A folder for screenshots; none are kept otherwise. `docs/wallboard/` was made by it."""
ENDED = (0, -signal.SIGTERM)
"""uvicorn lets the signal end the process once its work is done."""
SIZES = {"wall": (1920, 1080), "phone": (390, 844)}
pytestmark = pytest.mark.usefixtures("daemon_runs")


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with a port for MI."""
    more = {"mi": {"port": free_port()}, "agent": {"4001": {"name": "Ann"}, "4002": {"name": "Bob"}}}
    lab = LiveLab.up(tmp_path_factory.mktemp("wallboard"), merged(POLICY, more))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Nobody is at work for a while."""
    return ["no 999 agent", "999 unanswered", "last 999 agent"]


class Wall(NamedTuple):
    """`edge mi`, and a token for it."""

    process: subprocess.Popen[bytes]
    address: str
    token: str


@pytest.fixture
def wall(live: LiveLab) -> Iterator[Wall]:
    """Served; its log tells of no token and of nothing worse than what is normal."""
    made = live.edge("tokens", "add", "wall", "--scope", "metrics", "--scope", "calls", "--json")
    assert made.returncode == 0, made.stderr
    token = json.loads(made.stdout)["token"]
    command = (sys.executable, "-m", "edge", "--config", live.lab.config, "mi")
    file = live.directory / "log/mi.log"
    with file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        await_answers(live.configuration.mi.port, process)
        yield Wall(process, f"http://127.0.0.1:{live.configuration.mi.port}", token)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in ENDED
    said = file.read_text(encoding="utf-8")
    assert token not in said
    assert [line for line in said.splitlines() if json.loads(line)["level"] not in ("debug", "info")] == []


def await_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it takes connections."""
    deadline = time.monotonic() + 15
    while True:
        assert process.poll() is None, "edge mi has ended"
        assert time.monotonic() < deadline, "edge mi does not answer"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


class Screen:
    """A browser that has signed in, and what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    async def sign_in(self, wall: Wall) -> None:
        """As a person does."""
        await self.page.goto(f"{wall.address}/wallboard")
        await self.page.fill("#token", wall.token)
        await self.page.keyboard.press("Enter")
        await self.shows("#live", "Live")

    async def shows(self, selector: str, text: str, within_seconds: float = 4.0) -> None:
        """Wait until it does."""
        script = (
            "([where, what]) => [...document.querySelectorAll(where)].some(e => e.textContent.includes(what))"
        )
        await self.page.wait_for_function(
            script, arg=[selector, text], timeout=within_seconds * 1000, polling=20
        )

    async def keep(self, name: str) -> None:
        """A picture of it, if somebody wants them."""
        if PICTURES:
            await self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's; as root it must do without its sandbox."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        await opened.close()


@pytest.fixture
async def screen(browser: Browser, wall: Wall) -> Screen:
    """On a wall, dark."""
    return await look(browser, wall, "wall", "dark")


async def look(browser: Browser, wall: Wall, size: str, scheme: Any) -> Screen:
    """One that has signed in."""
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened = Screen(await context.new_page())
    await opened.sign_in(wall)
    return opened


AGENTS = "#agent-rows tr:nth-child({}) td:nth-child(2)"
READY, OFFERED, TALKING = AGENTS.format(1), AGENTS.format(2), AGENTS.format(3)
WAITING_999 = "#waiting-rows tr:nth-child(1) td:nth-child(2)"
WAITING_101 = "#waiting-rows tr:nth-child(2) td:nth-child(2)"


async def test_the_wall_follows_real_calls(room: Room, wall: Wall, browser: Browser, screen: Screen) -> None:
    """Everything that happens is seen within a second of its fact; the call's page tells it; nothing is said on the console."""
    late: dict[str, float] = {}

    async def seen(what: str, selector: str, text: str) -> None:
        await screen.shows(selector, text)
        room.live.follow()
        late[what] = time.time() - room.live.entries[-1].at.utc_us / 1e6

    ann = await room.agent(1)
    await seen("ready", READY, "1")
    first = room.caller(LINE)
    call = await ann.offered()
    await seen("offered", OFFERED, "1")
    call.answer()
    await seen("talking", TALKING, "1")
    routine = await room.queue_up(2, LINE)
    await seen("waiting", WAITING_101, "2")
    emergency = room.caller("999")
    await emergency.ringing(5)
    await seen("a 999", WAITING_999, "1")
    await screen.keep("wall-dark")
    for size, scheme in (("phone", "light"), ("wall", "light")):
        other = await look(browser, wall, size, scheme)
        await other.shows(WAITING_999, "1")
        await other.keep(f"{size}-{scheme}")
        assert other.said == []
        await other.page.context.close()
    await call.hang_up()
    following = await ann.answers()
    assert room.who(following) is emergency
    await screen.shows(WAITING_999, "0")
    await screen.shows("#service-rows tr:nth-child(1) td:nth-child(6)", "1")
    await following.hang_up()
    for caller in routine:
        await caller.hang_up()
    await room.ended(first)
    await screen.page.goto(f"{wall.address}/wallboard/calls/{room.record(first).call_id}")
    assert "was answered by agent 4001" in (await screen.page.text_content("main") or "")
    assert await screen.page.locator("svg.line rect.talk").count() == 1
    await screen.keep("call")
    assert screen.said == []
    assert max(late.values()) < 1.0, late


async def test_old_numbers_go_when_the_daemon_is_killed(room: Room, wall: Wall, screen: Screen) -> None:
    """Stale since, within three seconds; no number is left; and live again when the daemon is."""
    await room.agent(1)
    await screen.shows(READY, "1")
    killed = time.monotonic()
    await room.live.lose_daemon(signal.SIGKILL)
    await screen.shows("#stale", "the daemon is not running")
    assert time.monotonic() - killed < 3.0
    assert "STALE since " in (await screen.page.text_content("#stale") or "")
    assert set(await screen.page.locator("#agent-rows td:nth-child(2)").all_text_contents()) == {
        "\N{EN DASH}"
    }
    await screen.keep("stale")
    await room.live.start_daemon()
    await screen.shows("#live", "Live", 10)
    await screen.shows(READY, "1", 10)
    assert screen.said == []


async def test_a_daemon_that_stands_still_is_stale_too(room: Room, wall: Wall, screen: Screen) -> None:
    """Stopped by a signal it lives and serves nobody."""
    room.live.signal_daemon(signal.SIGSTOP)
    await screen.shows("#stale", "it lives and does nothing")
    room.live.signal_daemon(signal.SIGCONT)
    await screen.shows("#live", "Live", 15)
    assert screen.said == []
    assert room.facts(facts.CallArrived) == []


async def test_old_numbers_go_when_mi_hangs_or_ends(room: Room, wall: Wall, screen: Screen) -> None:
    """The page notices by itself that nothing comes any more; and a page that is open keeps nobody from ending."""
    await room.agent(1)
    await screen.shows(READY, "1")
    wall.process.send_signal(signal.SIGSTOP)
    await screen.shows("#stale", "nothing comes from the server", 6)
    assert set(await screen.page.locator("#agent-rows td:nth-child(2)").all_text_contents()) == {
        "\N{EN DASH}"
    }
    wall.process.send_signal(signal.SIGCONT)
    await screen.shows("#live", "Live", 10)
    assert screen.said == []
    wall.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert await asyncio.to_thread(wall.process.wait, 10) in ENDED
    assert time.monotonic() - began < 4
    await screen.shows("#stale", "nothing comes from the server", 6)
