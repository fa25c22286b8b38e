"""What stands between the network and the routes: limits by address, size of bodies, slow readers, headers, entity tags.

Plain ASGI, so that answers stream through it untouched.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.mi import problems
from edge.mi.security import address_of, too_many
from edge.mi.services import Services

LARGEST_BODY_BYTES = 64 * 1024
SEND_SECONDS = 30.0
"""A reader that takes nothing for so long is let go."""

log = structlog.get_logger(__name__)

ALWAYS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Headers that an answer has unless its route set others."""


class SlowReaderError(Exception):
    """The reader took nothing of its answer for a long time."""


class Guard:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, services: Services, send_seconds: float = SEND_SECONDS) -> None:
        self.app = app
        self.services = services
        self.send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, self.send_seconds)
        try:
            if refusal := self._refusal(scope):
                await refusal(scope, receive, answer.send)
            else:
                await self._served(scope, receive, answer)
        except SlowReaderError:
            log.warning("slow reader let go", address=address_of(HTTPConnection(scope)))
            await _hang_up(scope)

    async def _served(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self.app(scope, _bounded(receive), answer.send)
        except SlowReaderError:
            raise
        except Exception as error:
            if not answer.begun:
                await problems.fault(error)(scope, receive, answer.send)
            raise  # uvicorn logs where it was

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        address = address_of(HTTPConnection(scope))
        settings = self.services.settings
        wait = self.services.rates.wait_seconds(f"address {address}", settings.requests_per_minute_of_address)
        if wait:
            return too_many(wait, "this address").answer()
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
            return _too_large().answer()
        return None


async def _hang_up(scope: Scope) -> None:
    """What is in the connection's buffer is not waited for: closing it would."""
    if abort := scope.get("state", {}).get("abort"):
        abort()
        await asyncio.sleep(0)  # the connection's loss is seen before this request ends


def _too_large() -> problems.ProblemError:
    return problems.ProblemError(
        413, "size", "the body of the request is too large", f"Send at most {LARGEST_BODY_BYTES} bytes."
    )


def _bounded(receive: Receive) -> Receive:
    """A body without a length is counted as it comes."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY_BYTES:
            raise HTTPException(413)
        return message

    return bounded


class _Answer:
    """What is sent of one answer: with the headers that all have, each part taken in time."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self.begun = False

    async def send(self, message: Message) -> None:
        """One part. Raises `SlowReaderError`."""
        if message["type"] == "http.response.start":
            self.begun = True
            _complete(message)
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError as error:
            raise SlowReaderError from error


def _complete(start: Message) -> None:
    headers = MutableHeaders(raw=start.setdefault("headers", []))
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)
    tag = headers.get("etag", "")
    if "content-encoding" in headers and tag.startswith('"'):
        headers["ETag"] = f"W/{tag}"  # the same answer in other bytes
    start["headers"] = headers.raw


class EntityTags:
    """Gives every whole answer a strong ETag, and says 304 to who has it already. Streams pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        held: list[Message] = []
        known = Headers(scope=scope).get("if-none-match")

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            if held:
                start = held.pop()
                if not message.get("more_body") and start["status"] == 200:
                    message = _tag(start, message, known)
                await send(start)
            await send(message)

        await self.app(scope, receive, tagged)


def _tag(start: MutableMapping[str, Any], body: Message, known: str | None) -> Message:
    headers = MutableHeaders(raw=list(start["headers"]))
    tag = headers.get("etag") or tag_of(body.get("body", b""))
    headers["ETag"] = tag
    if matches(tag, known):
        start["status"] = 304
        del headers["content-length"], headers["content-type"]
        body = {**body, "body": b""}
    start["headers"] = headers.raw
    return body


def tag_of(body: bytes) -> str:
    """The entity tag of these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def matches(tag: str, known: str | None) -> bool:
    """Whether `If-None-Match` names it (RFC 9110, 13.1.2: weak comparison)."""
    if known is None:
        return False
    return known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(","))
