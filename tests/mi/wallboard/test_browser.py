"""The wallboard in a real Chromium: numbers move, old ones go, everybody can read it, and nothing of a stranger's runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from edge.mi.wallboard.signs import Daemon
from tests.mi.wallboard.conftest import Bench
from tests.mi.wallboard.contrast import LEAST, texts
from tests.mi.wallboard.serving import Desk, board_over, served
from tests.views.room import Room, busy_shift

CHROMIUM = "/usr/bin/chromium"
NONE = "\N{EN DASH}"
"""In the place of a number."""
NASTY = "<img src=x onerror=document.title='stolen'>"
SIZES = {"wall": (1920, 1080), "phone": (390, 844)}
FOCUS = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const name = e.id || (e.matches('#call-rows a') ? 'call' : e.textContent.trim());
  return [name, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""
"""What has the focus, and how that is shown."""
Make = Callable[[Room], Bench]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's, one for all tests here; as root it must do without its sandbox."""
    assert Path(CHROMIUM).exists(), "chromium is missing: run `make setup-tests`"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Screen(NamedTuple):
    """A page, and everything that its console said."""

    page: Page
    said: list[str]

    def shows(self, selector: str, text: str) -> None:
        """Wait until it does, for three seconds at most."""
        script = (
            "([where, what]) => [...document.querySelectorAll(where)].some(e => e.textContent.includes(what))"
        )
        self.page.wait_for_function(script, arg=[selector, text], timeout=3000)

    def cells(self, body: str) -> list[list[str]]:
        """The texts of a table."""
        script = "b => [...document.getElementById(b).rows].map(r => [...r.cells].map(c => c.textContent))"
        found: list[list[str]] = self.page.evaluate(script, body)
        return found


class Wall(NamedTuple):
    """A served wallboard, and screens to look at it."""

    at: Bench
    address: str
    cut: Callable[[], None]
    desk: Desk
    screen: Callable[..., Screen]


@pytest.fixture
def wall(bench: Make, chromium: Browser) -> Iterator[Wall]:
    """A busy shift. No screen may have said anything on its console when the test ends."""
    room, _ = busy_shift()
    room.arrive(number="+441632960777", name=NASTY)
    at, desk, screens = bench(room), Desk(), list[Screen]()
    with served(lambda: board_over(at.live(), at.url, desk)) as (address, cut):

        def screen(token: str = "for-calls", size: str = "wall", scheme: Any = "dark") -> Screen:
            width, height = SIZES[size]
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            opened = Screen(context.new_page(), [])
            opened.page.on("console", lambda message: opened.said.append(message.text))
            opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
            opened.page.goto(f"{address}/wallboard")
            opened.page.fill("#token", token)
            opened.page.keyboard.press("Enter")
            screens.append(opened)
            opened.shows("#live", "Live")
            return opened

        yield Wall(at, address, cut, desk, screen)
        for opened in screens:
            assert opened.said == []
            opened.page.context.close()


def test_numbers_change(wall: Wall) -> None:
    """A caller comes, is answered, and the page has it without being asked."""
    screen = wall.screen()
    assert screen.cells("waiting-rows")[0][:3] == ["999", "0", NONE]
    assert [row[1] for row in screen.cells("agent-rows")][:3] == ["0", "0", "1"]
    room = wall.at.room
    call = room.arrive(line="emergency")
    room.wait(12.0)
    wall.at.commit()
    screen.shows("#waiting-rows tr:first-child td", "1")
    screen.shows("#waiting-rows tr:first-child td", "0:12")
    screen.shows("#waiting-rows tr:first-child td", "▲ over target")
    screen.shows("#call-rows a", call)
    room.hang_up(call)
    wall.at.commit()
    screen.shows("#task-list dd", "1 ▲ first")
    assert screen.cells("waiting-rows")[0][:3] == ["999", "0", NONE]


def no_numbers(screen: Screen) -> None:
    """Dashes stand where numbers were."""
    for body in ("waiting-rows", "agent-rows"):
        assert {row[1] for row in screen.cells(body)} == {NONE}
    assert screen.cells("service-rows") == screen.cells("call-rows") == []
    figures = screen.page.locator("#callback-list dd, #task-list dd").all_text_contents()
    assert set(figures) == {NONE}


def test_a_dead_daemon_leaves_no_number(wall: Wall) -> None:
    """The banner says since when; when it lives again so do the numbers."""
    screen = wall.screen()
    wall.at.daemon = Daemon.DEAD
    screen.shows("#stale", "STALE since 12:00:59: the daemon is not running")
    screen.shows("#health-list dd", "✗ LOOK")
    no_numbers(screen)
    wall.at.daemon = Daemon.RUNNING
    screen.shows("#live", "Live")
    assert screen.page.is_hidden("#stale")
    assert screen.cells("agent-rows")[2][1] == "1"


def test_a_cut_connection_leaves_no_number(wall: Wall) -> None:
    """Nobody tells the page: it notices by itself."""
    screen = wall.screen()
    screen.page.context.set_offline(True)
    wall.cut()
    script = "() => document.getElementById('stale').textContent.includes('nothing comes from the server')"
    screen.page.wait_for_function(script, timeout=6000)
    no_numbers(screen)
    screen.shows("#health-list dd", "cut")
    screen.said.clear()  # the browser itself says that it cannot connect


def test_a_token_that_was_withdrawn_leads_to_the_form(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not go on as if nothing had happened."""
    monkeypatch.setattr("edge.mi.wallboard.routes.CHECK_SECONDS", 0.0)
    screen = wall.screen()
    wall.desk.tokens.clear()
    screen.page.wait_for_url("**/wallboard/sign-in", timeout=5000)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_can_be_read(wall: Wall, scheme: str) -> None:
    """Contrast of every text against what is behind it, as Chromium draws them: WCAG AA, 4.5 (3 for large ones)."""
    screen = wall.screen(scheme=scheme)
    screen.shows("#call-rows a", "20261122T120000Z-6")
    seen = {"board": texts(screen.page)}
    wall.at.daemon = Daemon.DEAD
    screen.shows("#stale", "STALE since")
    seen["stale"] = texts(screen.page)
    screen.page.goto(f"{wall.address}/wallboard/calls/20261122T120000Z-3")
    seen["call"] = texts(screen.page)
    screen.page.goto(f"{wall.address}/wallboard/sign-in")
    seen["form"] = texts(screen.page)
    assert {page: len(found) > 5 for page, found in seen.items()} == dict.fromkeys(seen, True)
    poor = [
        (page, text) for page, found in seen.items() for text in found if text.ratio < LEAST[text.is_large]
    ]
    assert poor == []


def test_a_phone_needs_no_scrolling_sideways(wall: Wall) -> None:
    """Nothing hangs over the edge, and the figures that matter are whole."""
    screen = wall.screen("for-board", "phone", "light")
    assert screen.page.evaluate("document.documentElement.scrollWidth") == SIZES["phone"][0]
    for section in ("waiting", "agents", "service", "callbacks", "tasks", "health"):
        script = "s => { const e = document.getElementById(s); return e.scrollWidth - e.clientWidth }"
        assert screen.page.evaluate(script, section) <= 0, section
    assert not screen.page.is_visible("#calls")


def test_the_first_screen_of_a_wall_has_what_matters(wall: Wall) -> None:
    """Without scrolling: waiting, agents, service levels, call-backs, tasks and health; the numbers are large."""
    screen = wall.screen("for-board")
    for section in ("waiting", "agents", "service", "callbacks", "tasks", "health"):
        script = "s => document.getElementById(s).getBoundingClientRect().bottom"
        assert screen.page.evaluate(script, section) <= SIZES["wall"][1], section
    script = "() => parseFloat(getComputedStyle(document.querySelector('#waiting-rows td.number')).fontSize)"
    assert screen.page.evaluate(script) >= 60


def test_the_keyboard_is_enough(wall: Wall) -> None:
    """Tab goes through everything in order, with a mark that is seen; the focus stays while numbers move."""
    screen = wall.screen()
    order: list[str] = []
    while len(order) < 40 and "call" not in order:
        screen.page.keyboard.press("Tab")
        name, style, width = screen.page.evaluate(FOCUS)
        assert (style, width >= 2) == ("solid", True), name
        order.append(name)
    assert order[:3] == ["To the figures", "theme", "Sign out"]
    assert order[3:] == ["waiting", "agents", "service", "callbacks", "tasks", "health", "calls", "call"]
    focused = screen.page.evaluate("document.activeElement.textContent")
    wall.at.room.wait(30)
    wall.at.room.arrive(line="emergency")
    wall.at.commit()
    screen.shows("#waiting-rows tr:first-child td", "1")
    assert screen.page.evaluate("document.activeElement.matches('#call-rows a')")
    screen.page.keyboard.press("Enter")
    screen.page.wait_for_url("**/wallboard/calls/*", timeout=3000)
    assert focused.startswith("2026")


def test_dark_and_light_by_a_button(wall: Wall) -> None:
    """As the system has it, then as somebody chose, on the next page too."""
    screen = wall.screen(scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = screen.page.evaluate(background)
    screen.page.click("#theme")
    light = screen.page.evaluate(background)
    assert light != dark
    screen.page.reload()
    screen.shows("#live", "Live")
    assert screen.page.evaluate(background) == light
    assert screen.page.text_content("#theme") == "Dark"


def test_html_in_a_callers_name_does_nothing(wall: Wall) -> None:
    """It is shown to who may see names, as the characters that were sent."""
    screen = wall.screen("for-numbers")
    screen.page.goto(f"{wall.address}/wallboard/calls/20261122T120000Z-6")
    assert NASTY in (screen.page.text_content("main") or "")
    assert screen.page.locator("img").count() == 0
    assert screen.page.title() == "Call 20261122T120000Z-6"


def test_the_page_of_a_call_has_its_time_line(wall: Wall) -> None:
    """A bar for each stretch, named, and every fact in words."""
    screen = wall.screen()
    screen.page.goto(f"{wall.address}/wallboard/calls/20261122T120000Z-1")
    names = screen.page.locator("svg.line text:not(.axis)").all_text_contents()
    assert names == ["Waited", "Announcements", "Rang: 4001", "Talked: 4001", "On hold", "Wrap-up: 4001"]
    story = screen.page.locator("#story tbody tr").all_text_contents()
    assert len(story) >= 10
    assert any("put on hold by agent 4001" in line for line in story)
    boxes = screen.page.locator("svg.line rect").evaluate_all(
        "all => all.map(e => [e.getBoundingClientRect().left, e.getBoundingClientRect().width])"
    )
    (waited, _), _, (rang, _), (talked, long), (held, short), _ = boxes
    assert waited <= rang < talked < held
    assert long > short > 0
