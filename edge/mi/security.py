"""Who asks, and whether they may: bearer tokens with scopes, limits by token and by address, guessing slowed and logged."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from edge.mi.limits import DELAYED_AT_ONCE
from edge.mi.problems import ProblemError
from edge.mi.services import Services, services
from edge.mi.tokens import SCOPES, Token

Scope = Literal["facts", "calls", "numbers", "metrics", "admin"]
PURPOSE = "Edge101-Purpose"
LONGEST_PURPOSE = 200
ABSENT = "(none)"

log = structlog.get_logger(__name__)
bearer = HTTPBearer(auto_error=False, description="A token made by `edge tokens add`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks."""

    reader: str
    token_id: str
    scopes: frozenset[str]
    address: str
    purpose: str | None

    @property
    def numbers(self) -> bool:
        """Whether callers' numbers and names may be shown."""
        return "numbers" in self.scopes


def address_of(connection: HTTPConnection) -> str:
    """Of the peer. No header is believed: what stands in front of this service limits its own clients."""
    return connection.client.host if connection.client else ABSENT


def require(*scopes: Scope) -> Callable[..., Awaitable[Client]]:
    """For routes: `Annotated[Client, Depends(require("facts"))]`. With several scopes any of them is enough."""
    assert scopes and set(scopes) <= set(SCOPES)

    async def client(
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        shared: Annotated[Services, Depends(services)],
    ) -> Client:
        token = await identify(shared, given.credentials if given else None, address_of(request))
        if not token.scopes & set(scopes):
            raise ProblemError(
                403,
                "scope",
                f"the token of {token.reader} lacks the scope {' or '.join(scopes)}",
                f"Ask whoever runs this service for a token with it: edge tokens add {token.reader} --scope {scopes[0]} ...",
            )
        return Client(
            reader=token.reader,
            token_id=token.token_id,
            scopes=token.scopes,
            address=address_of(request),
            purpose=_purpose(request),
        )

    return client


async def identify(shared: Services, text: str | None, address: str) -> Token:
    """The valid token that `text` is, counted against its limit. Raises `ProblemError` 401 (held back for who guesses) or 429."""
    if text is None:
        raise _unknown("no bearer token was given")
    if shared.tokens.remembered(text):
        token = shared.tokens.find(text)
    else:
        token = await run_in_threadpool(shared.tokens.find, text)
    if token is None:
        await _hold_back(shared, address)
        raise _unknown("the token is unknown, revoked or expired")
    wait = shared.rates.wait_seconds(f"token {token.token_id}", shared.settings.requests_per_minute)
    if wait:
        raise too_many(wait, "this token")
    return token


def too_many(wait_seconds: float, who: str) -> ProblemError:
    """429, with the time to wait."""
    seconds = max(1, math.ceil(wait_seconds))
    return ProblemError(
        429,
        "rate",
        f"{who} has asked too often",
        f"Ask again in {seconds} s; ask for larger pages, or wait for new facts with wait_seconds.",
        {"Retry-After": str(seconds)},
    )


def _unknown(detail: str) -> ProblemError:
    return ProblemError(
        401,
        "token",
        detail,
        "Send the header Authorization: Bearer edge101_..., as `edge tokens add` or `edge tokens rotate` showed it.",
        {"WWW-Authenticate": 'Bearer realm="edge101"'},
    )


async def _hold_back(shared: Services, address: str) -> None:
    guesses = shared.guesses
    count = guesses.count(address)
    log.warning("wrong token", address=address, count=count)
    if not (delay := guesses.delay_seconds(count)):
        return
    if guesses.delayed >= DELAYED_AT_ONCE:
        raise too_many(delay, f"who has no valid token at {address}")
    guesses.delayed += 1
    try:
        await asyncio.sleep(delay)
    finally:
        guesses.delayed -= 1


def _purpose(request: Request) -> str | None:
    text = request.headers.get(PURPOSE, "").strip()
    return "".join(mark for mark in text if mark.isprintable())[:LONGEST_PURPOSE] or None
