"""The wallboard's pages over HTTP. What a browser may see depends on the token that it signed in with, which no address holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from edge.core.facts import Entry
from edge.mi.security import address_of
from edge.mi.wallboard.access import COOKIE, SESSION_SECONDS, Sessions, Visitor
from edge.mi.wallboard.feed import VIEWERS_MOST, Feed, Picture
from edge.mi.wallboard.live import Site
from edge.mi.wallboard.pages import POLICY, call_page, page, static_files
from edge.views.calls import fold_calls

FORM_BYTES = 4096
CHECK_SECONDS = 10.0
"""How often a stream looks whether its token still holds."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class NotLetInError(Exception):
    """This token does not open the wallboard. The message is for the person at the browser."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the pages are made of. Callables may block, and are called in threads; `let_in` is the loop's own."""

    feed: Feed
    site: Site
    sessions: Sessions
    let_in: Callable[[str, str], Awaitable[Visitor]]
    """Whose token this is, given with the address that sends it. Raises `NotLetInError`."""
    read_call: Callable[[str], Sequence[Entry]]
    key: Callable[[], bytes | None]
    """For the hash under which callers are known."""
    disclose: Callable[[Visitor, str, str | None], None]
    """Write down that somebody at this address looked at this call; None: at the open calls."""
    is_secure: bool
    """Whether the pages come over TLS: the cookie is then for nothing else."""


router = APIRouter(prefix="/wallboard", include_in_schema=False)
"""The pages, the stream and the files of the wallboard. They stand in no API description: they are for people."""


def board(request: Request) -> Board:
    """The application's."""
    found: Board = request.app.state.board
    return found


def visitor(request: Request) -> Visitor | None:
    """Who asks, None: nobody who signed in. Reads the tokens, so it runs in a thread."""
    return board(request).sessions.visitor(request.cookies.get(COOKIE))


Mine = Annotated[Board, Depends(board)]
Guest = Annotated[Visitor | None, Depends(visitor)]


@router.get("/sign-in")
def sign_in_page(mine: Mine) -> Response:
    """Asks for a token."""
    return _html(page("sign-in", site=mine.site.name, trouble=None))


@router.post("/sign-in")
async def sign_in(request: Request, mine: Mine) -> Response:
    """Begins a session, and gives the browser its name."""
    if not _is_ours(request):
        return _trouble("Not from this page", "Sign in on the page of this wallboard.", 403)
    given = await _form_value(request, "token")
    try:
        who = await mine.let_in(given, address_of(request))
    except NotLetInError as error:
        return _html(page("sign-in", site=mine.site.name, trouble=str(error)), error.status)
    answer = RedirectResponse("/wallboard", 303, HEADERS)
    answer.set_cookie(
        COOKIE,
        mine.sessions.begin(who),
        max_age=int(SESSION_SECONDS),
        path="/wallboard",
        secure=mine.is_secure,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, mine: Mine) -> Response:
    """Ends the session."""
    if not _is_ours(request):
        return _trouble("Not from this page", "Sign out on the page of this wallboard.", 403)
    mine.sessions.end(request.cookies.get(COOKIE))
    answer = RedirectResponse("/wallboard/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, "/wallboard", secure=mine.is_secure, httponly=True, samesite="strict")
    return answer


@router.get("/who")
def who_is_there(guest: Guest) -> Response:
    """Whether the session still holds: the page asks when its stream has ended."""
    if guest is None:
        return JSONResponse({"signed_in": False}, 401, HEADERS)
    return JSONResponse({"signed_in": True, "scopes": sorted(guest.scopes)}, 200, HEADERS)


@router.get("")
def wallboard(mine: Mine, guest: Guest) -> Response:
    """The page, without a number: those come by the stream."""
    if guest is None:
        return RedirectResponse("/wallboard/sign-in", 303, HEADERS)
    return _html(page("wallboard", site=mine.site.name, may_see_calls=guest.may_see_calls))


@router.get("/stream")
async def stream(request: Request, mine: Mine, guest: Guest) -> Response:
    """Server-sent events: a picture for each change, and one a second in any case."""
    if guest is None:
        return JSONResponse({"signed_in": False}, 401, HEADERS)
    if mine.feed.viewers >= VIEWERS_MOST:
        return Response("Too many wallboards are open: close one.", 503, {**HEADERS, "Retry-After": "30"})
    if guest.may_see_calls:
        await run_in_threadpool(mine.disclose, guest, address_of(request), None)
    return StreamingResponse(_events(mine, request.cookies.get(COOKIE)), 200, HEADERS, "text/event-stream")


@router.get("/calls/{call_id}")
def call_story(request: Request, call_id: str, mine: Mine, guest: Guest) -> Response:
    """The page of a call. That somebody looked is written down before they see it."""
    if guest is None:
        return RedirectResponse("/wallboard/sign-in", 303, HEADERS)
    if not guest.may_see_calls:
        return _trouble("Not for this token", "The story of a call needs a token with the scope calls.", 403)
    entries = mine.read_call(call_id)
    record = fold_calls(entries).get(call_id)
    if record is None:
        return _trouble(
            "No such call", "The record has no call of this id. Ids stand in the wallboard's list.", 404
        )
    mine.disclose(guest, address_of(request), call_id)
    now, key = mine.feed.now(), mine.key()
    return _html(call_page(record, entries, now, mine.site.zone, key, guest.may_see_numbers))


@router.get("/static/{name}")
def static_file(request: Request, name: str) -> Response:
    """One of the few files there are."""
    found = static_files().get(name)
    if found is None:
        return _trouble("No such file", "The wallboard has no file of this name.", 404)
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": found.etag}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, 200, headers, found.media_type)


async def _events(mine: Board, cookie: str | None) -> AsyncIterator[bytes]:
    """Pictures until the viewer goes, or their token does not hold any more."""
    checked, with_calls = float("-inf"), False
    pictures = mine.feed.watch()
    try:
        async for picture in pictures:
            if monotonic() - checked >= CHECK_SECONDS:
                guest = await asyncio.to_thread(mine.sessions.visitor, cookie)
                if guest is None:
                    yield b"event: over\ndata: {}\n\n"
                    return
                checked, with_calls = monotonic(), guest.may_see_calls
            yield _event(picture, with_calls)
    finally:
        await pictures.aclose()


def _event(picture: Picture, with_calls: bool) -> bytes:
    return b"event: picture\ndata: " + (picture.with_calls if with_calls else picture.plain) + b"\n\n"


async def _form_value(request: Request, name: str) -> str:
    """A field of a form as browsers send it, of bounded length; nothing where there is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return ""
    try:
        fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=8)
    except ValueError:
        return ""
    return fields.get(name, [""])[0].strip()


def _is_ours(request: Request) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser says."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, HEADERS)


def _trouble(title: str, detail: str, status: int) -> HTMLResponse:
    return _html(page("trouble", title=title, detail=detail), status)
