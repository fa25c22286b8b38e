"""The wallboard over HTTP: who is let in, what they may see, and that a stranger's text stays text."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from html import escape
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, CookieJar
from yarl import URL

from edge.mi.wallboard import routes
from edge.mi.wallboard.access import SESSION_SECONDS, SESSIONS_MOST, Sessions
from tests.mi.wallboard.conftest import Bench
from tests.mi.wallboard.serving import CALLS, METRICS, Desk, board_over, served
from tests.views.room import Room, busy_shift

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
Make = Callable[[Room], Bench]


@pytest.fixture
def desk() -> Desk:
    """Tokens."""
    return Desk()


@pytest.fixture
def at(bench: Make) -> Bench:
    """A busy shift, and one caller with a nasty name who waits."""
    room, _ = busy_shift()
    room.arrive(number="+441632960777", name=NASTY)
    return bench(room)


@pytest.fixture
def address(at: Bench, desk: Desk) -> Iterator[str]:
    """Where it is served."""
    with served(lambda: board_over(at.live(), at.url, desk)) as (address, _):
        yield address


class Answer(NamedTuple):
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    text: str


class Browser:
    """Keeps cookies, follows nothing."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        """One request."""
        async with self.session.request(
            method, URL(path, encoded=True), allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, answer.content_type, await answer.text())

    async def get(self, path: str, **headers: str) -> Answer:
        """A page."""
        return await self.ask("GET", path, headers=headers)


@pytest.fixture
async def browser(address: str) -> AsyncIterator[Browser]:
    """One that has not signed in."""
    async with ClientSession(address, cookie_jar=CookieJar(unsafe=True)) as session:
        yield Browser(session)


async def sign_in(browser: Browser, token: str, **headers: str) -> Answer:
    """As the form does."""
    return await browser.ask("POST", "/wallboard/sign-in", data={"token": token}, headers=headers)


async def test_nobody_sees_anything_without_signing_in(browser: Browser) -> None:
    """Pages lead to the form, the stream is closed."""
    for path in ("/wallboard", "/wallboard/calls/20261122T120000Z-1"):
        answer = await browser.get(path)
        assert (answer.status, answer.headers["Location"]) == (303, "/wallboard/sign-in")
    for path in ("/wallboard/stream", "/wallboard/who"):
        assert (await browser.get(path)).status == 401


async def test_signing_in_and_out(browser: Browser) -> None:
    """A cookie that no script reads and no other site sends; the token is nowhere in what comes back."""
    answer = await sign_in(browser, "for-calls")
    cookie = answer.headers["Set-Cookie"]
    assert (answer.status, answer.headers["Location"]) == (303, "/wallboard")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/wallboard"))
    assert "for-calls" not in cookie
    page = (await browser.get("/wallboard")).text
    assert "for-calls" not in page
    assert (await browser.get("/wallboard/who")).status == 200
    assert (await browser.ask("POST", "/wallboard/sign-out")).status == 303
    assert (await browser.get("/wallboard/who")).status == 401


@pytest.mark.parametrize(
    ("token", "status"), [("wrong", 401), ("", 401), ("for-facts", 403), ("x" * 9000, 401)]
)
async def test_a_token_that_does_not_do(browser: Browser, token: str, status: int) -> None:
    """It says so, and repeats nothing of what was sent."""
    answer = await sign_in(browser, token)
    text = answer.text
    assert (answer.status, "Set-Cookie" in answer.headers) == (status, False)
    assert 'role="alert"' in text
    assert "x" * 100 not in text


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.invalid"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_no_other_site_signs_anybody_in(browser: Browser, headers: dict[str, str]) -> None:
    """Nor out."""
    assert (await sign_in(browser, "for-calls", **headers)).status == 403
    assert (await browser.ask("POST", "/wallboard/sign-out", headers=headers)).status == 403


async def test_a_session_ends_with_its_token(browser: Browser, desk: Desk) -> None:
    """Withdrawn, it opens nothing any more; with fewer scopes, less."""
    await sign_in(browser, "for-calls")
    desk.tokens["for-calls"] = METRICS.__class__(CALLS.token_id, "supervisor", frozenset({"metrics"}))
    assert (await browser.get("/wallboard/calls/20261122T120000Z-1")).status == 403
    del desk.tokens["for-calls"]
    assert (await browser.get("/wallboard/who")).status == 401


def test_the_oldest_session_goes_when_there_are_too_many() -> None:
    """Memory is bounded, and whoever signed in last is let in."""
    sessions = Sessions(lambda _: CALLS)
    first, *others = [sessions.begin(CALLS) for _ in range(SESSIONS_MOST + 1)]
    assert sessions.visitor(first) is None
    assert all(sessions.visitor(cookie) == CALLS for cookie in others)


def test_a_session_ends_with_the_shift() -> None:
    """However well the token is."""
    now = [0.0]
    sessions = Sessions(lambda _: CALLS, lambda: now[0])
    cookie = sessions.begin(CALLS)
    now[0] = SESSION_SECONDS - 1
    assert sessions.visitor(cookie) == CALLS
    now[0] = SESSION_SECONDS
    assert sessions.visitor(cookie) is None
    assert sessions.visitor(None) is None


async def test_the_page_of_a_call_without_numbers(browser: Browser, at: Bench, desk: Desk) -> None:
    """The story, the hash under which the caller is known, neither name nor number; who looked is written down."""
    await sign_in(browser, "for-calls")
    answer = await browser.get("/wallboard/calls/20261122T120000Z-6")
    text = answer.text
    assert answer.status == 200
    assert "joined queue general" in text
    assert "…777, known as " in text
    assert "960777" not in text
    assert "alert(1)" not in text
    assert desk.looked == [("supervisor", "20261122T120000Z-6")]


async def test_html_in_a_callers_name_is_text(browser: Browser) -> None:
    """With the scope for numbers the name is shown as it was sent, and nothing of it is markup."""
    await sign_in(browser, "for-numbers")
    text = (await browser.get("/wallboard/calls/20261122T120000Z-6")).text
    assert "+441632960777" in text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert escape(NASTY).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text


@pytest.mark.parametrize("call_id", ["nothing", "..%2F..%2Fetc%2Fpasswd", "%3Cscript%3E", "%00", "x" * 3000])
async def test_no_such_call(browser: Browser, call_id: str, desk: Desk) -> None:
    """Nothing of what was asked for comes back."""
    await sign_in(browser, "for-calls")
    answer = await browser.get(f"/wallboard/calls/{call_id}")
    assert answer.status == 404
    assert "<script>" not in answer.text
    assert desk.looked == []


async def test_the_story_needs_the_scope_calls(browser: Browser) -> None:
    """A screen on the wall has a token for figures alone."""
    await sign_in(browser, "for-board")
    assert (await browser.get("/wallboard/calls/20261122T120000Z-1")).status == 403
    assert 'data-calls="no"' in (await browser.get("/wallboard")).text


async def test_every_answer_has_the_policy(browser: Browser) -> None:
    """Nothing inline, nothing from elsewhere, never in a frame, never in a shared cache."""
    await sign_in(browser, "for-calls")
    for path in (
        "/wallboard",
        "/wallboard/sign-in",
        "/wallboard/calls/x",
        "/wallboard/static/wallboard.css",
        "/wallboard/who",
    ):
        answer = await browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
        text = answer.text
        assert "style=" not in text
        assert "onclick" not in text
        assert "https://" not in text


async def test_static_files_are_few_and_kept(browser: Browser) -> None:
    """By name from a list; unchanged ones are not sent again."""
    answer = await browser.get("/wallboard/static/wallboard.js")
    again = await browser.get("/wallboard/static/wallboard.js", **{"If-None-Match": answer.headers["ETag"]})
    assert (answer.status, answer.content_type, again.status) == (200, "text/javascript", 304)
    for name in ("nothing.js", "..%2Froutes.py", "%2e%2e%2froutes.py"):
        assert (await browser.get(f"/wallboard/static/{name}")).status == 404


async def pictures(browser: Browser) -> AsyncGenerator[dict[str, Any]]:
    """What the stream brings."""
    async with browser.session.get("/wallboard/stream") as answer:
        assert answer.content_type == "text/event-stream"
        kind = ""
        async for line in answer.content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield {"event": kind, **json.loads(value)}


async def test_a_fact_is_seen_within_a_second(browser: Browser, at: Bench) -> None:
    """From the commit to the browser, eight times."""
    await sign_in(browser, "for-board")
    took = []
    seen = pictures(browser)
    before = (await anext(seen))["numbers"]["sequence"]
    for _ in range(8):
        at.room.arrive()
        at.commit()
        committed = time.monotonic()
        async for picture in seen:
            if picture["numbers"]["sequence"] > before:
                before = picture["numbers"]["sequence"]
                break
        took.append(time.monotonic() - committed)
    await seen.aclose()
    assert max(took) < 1.0, took


async def first_picture(browser: Browser) -> dict[str, Any]:
    """The first that comes."""
    async with aclosing(pictures(browser)) as seen:
        return await anext(seen)


async def test_what_comes_depends_on_the_token(browser: Browser) -> None:
    """Figures alone, or with open calls."""
    await sign_in(browser, "for-board")
    plain = await first_picture(browser)
    await sign_in(browser, "for-calls")
    full = await first_picture(browser)
    assert "calls" not in plain["numbers"]
    assert len(full["numbers"]["calls"]) == 4
    assert "alert" not in json.dumps(full)


async def test_a_stream_ends_with_its_token(
    browser: Browser, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has been open for a while."""
    monkeypatch.setattr(routes, "CHECK_SECONDS", 0.0)
    await sign_in(browser, "for-calls")
    seen = pictures(browser)
    assert (await anext(seen))["event"] == "picture"
    desk.tokens.clear()
    told = [picture["event"] async for picture in seen]
    assert told[-1] == "over"
    assert (await browser.get("/wallboard/stream")).status == 401


async def test_there_is_room_for_so_many(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told to come again; a place that was left is free."""
    monkeypatch.setattr(routes, "VIEWERS_MOST", 1)
    await sign_in(browser, "for-board")
    async with aclosing(pictures(browser)) as seen:
        await anext(seen)
        answer = await browser.get("/wallboard/stream")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    left = time.monotonic()
    while (status := await stream_status(browser)) != 200:
        assert time.monotonic() - left < 5, status


async def stream_status(browser: Browser) -> int:
    """Of a stream that is left at once."""
    async with browser.session.get("/wallboard/stream") as answer:
        return answer.status
