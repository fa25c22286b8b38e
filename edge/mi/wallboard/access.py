"""Who signed in at the wallboard: a browser keeps the name of a session in a cookie, never the token.

A session knows which token it was begun with, and ends with that token: each page asks again whether it still holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic

COOKIE = "edge101-wallboard"
SESSION_SECONDS = 12 * 3600.0
"""A shift; after that the token is asked for again."""
SESSIONS_MOST = 1_000
"""The oldest goes when another comes."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a token. `token_id`: its name in the list of tokens, never the token itself."""

    token_id: str
    name: str
    scopes: frozenset[str]

    @property
    def may_see_calls(self) -> bool:
        """Open calls one by one, and their stories."""
        return "calls" in self.scopes

    @property
    def may_see_numbers(self) -> bool:
        """Callers' names and numbers in those stories."""
        return "numbers" in self.scopes


class Sessions:
    """Kept in memory: a new start of `edge mi` asks everybody to sign in again."""

    def __init__(
        self, still: Callable[[str], Visitor | None], seconds: Callable[[], float] = monotonic
    ) -> None:
        """`still`: who has the token of this id, None once it has expired or was withdrawn."""
        self._still = still
        self._seconds = seconds
        self._begun: dict[str, tuple[str, float]] = {}
        """Digest of the cookie -> id of the token, and when it was begun; oldest first."""

    def begin(self, visitor: Visitor) -> str:
        """The cookie of a new session."""
        while len(self._begun) >= SESSIONS_MOST:
            del self._begun[next(iter(self._begun))]
        cookie = secrets.token_urlsafe(32)
        self._begun[_digest(cookie)] = visitor.token_id, self._seconds()
        return cookie

    def visitor(self, cookie: str | None) -> Visitor | None:
        """Who this is, with what they may see at this moment; None: nobody who may see the wallboard. Reads the tokens."""
        digest = _digest(cookie or "")
        if (found := self._begun.get(digest)) is None:
            return None
        token_id, begun = found
        visitor = self._still(token_id) if self._seconds() - begun < SESSION_SECONDS else None
        if visitor is None or "metrics" not in visitor.scopes:
            self._begun.pop(digest, None)
            return None
        return visitor

    def end(self, cookie: str | None) -> None:
        """Signed out."""
        self._begun.pop(_digest(cookie or ""), None)


def _digest(cookie: str) -> str:
    return sha256(cookie.encode(errors="replace")).hexdigest()
