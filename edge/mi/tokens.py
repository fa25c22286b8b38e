"""Tokens: who may read what, until when. Only a hash of each is kept.

A token is `edge101_ID_SECRET`. The secret has 256 random bits, so that one round of SHA-256 is enough: what makes slow hashes
necessary is that people choose passwords, and nobody chose this one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from edge.mi.schema import tokens
from edge.mi.store import Store

SCOPES = ("facts", "calls", "numbers", "metrics", "admin")
"""`facts`: the record as it was written. `calls`: calls, contacts, call-backs and tasks made of it. `numbers`: callers' numbers
and names, beside the others. `metrics`: figures and the wallboard. `admin`: who was told what."""
PREFIX = "edge101"
ID_BYTES = 4
SECRET_BYTES = 32
READER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * ID_BYTES}}})_([A-Za-z0-9_-]{{43}})")
FRESH_SECONDS = 1.0
"""A token that was revoked is refused after so long at the latest."""
REMEMBERED = 1000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret. `reader`: whose it is; acknowledgements are the reader's, whatever token was used."""

    token_id: str
    reader: str
    scopes: frozenset[str]
    created_utc_us: int
    created_by: str
    expires_utc_us: int
    revoked_utc_us: int | None
    secret_hash: str

    def valid_at(self, utc_us: int) -> bool:
        """Whether it opens anything now."""
        revoked = self.revoked_utc_us is not None and self.revoked_utc_us <= utc_us
        return not revoked and utc_us < self.expires_utc_us


class Tokens:
    """The tokens in the store. Thread-safe."""

    def __init__(self, store: Store, utc_us: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self._store = store
        self._utc_us = utc_us
        self._monotonic_ns = monotonic_ns
        self._remembered: dict[str, tuple[int, Token | None]] = {}

    def add(self, reader: str, scopes: Iterable[str], days: float, by: str) -> tuple[Token, str]:
        """A new token, and the text that is shown once. Raises `ValueError` for a name or scope that there is not."""
        wanted = frozenset(scopes)
        if not READER.fullmatch(reader):
            raise ValueError("a reader's name is 1 to 40 of a-z, 0-9, _ and -, not beginning with _ or -")
        if unknown := wanted - set(SCOPES) or (not wanted and {"none"}):
            raise ValueError(f"there is no scope {', '.join(sorted(unknown))}; known: {', '.join(SCOPES)}")
        if wanted == {"numbers"}:
            raise ValueError("the scope numbers shows numbers in what other scopes give: add facts or calls")
        token_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        now = self._utc_us()
        token = Token(
            token_id=token_id,
            reader=reader,
            scopes=wanted,
            created_utc_us=now,
            created_by=by,
            expires_utc_us=now + int(days * DAY_US),
            revoked_utc_us=None,
            secret_hash=_hash(secret),
        )
        row = {name: getattr(token, name) for name in tokens.c.keys()}  # noqa: SIM118 - columns, no dict
        with self._store.transaction() as connection:
            connection.execute(insert(tokens), {**row, "scopes": " ".join(sorted(wanted))})
        return token, f"{PREFIX}_{token_id}_{secret}"

    def all(self) -> Sequence[Token]:
        """Every token there ever was, by reader and age."""
        order = tokens.c.reader, tokens.c.created_utc_us
        with self._store.transaction() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by(*order))]

    def named(self, name: str) -> Sequence[Token]:
        """Valid tokens with this id or of this reader, oldest first."""
        now = self._utc_us()
        return [
            token for token in self.all() if name in (token.token_id, token.reader) and token.valid_at(now)
        ]

    def end(self, chosen: Sequence[Token], utc_us: int) -> None:
        """No token among these opens anything from then on; none gets longer to live by that."""
        with self._store.transaction() as connection:
            for token in chosen:
                until = min(utc_us, token.revoked_utc_us or utc_us)
                mine = tokens.c.token_id == token.token_id
                connection.execute(update(tokens).where(mine).values(revoked_utc_us=until))
        self._remembered.clear()

    def find(self, text: str) -> Token | None:
        """The token that this text is, if it is one and valid. Takes as long for a wrong secret as for a right one."""
        if not (parts := TOKEN.fullmatch(text)):
            return None
        found = self._kept(parts[1])
        same = hmac.compare_digest(_hash(parts[2]), found.secret_hash if found else _hash(""))
        return found if found and same and found.valid_at(self._utc_us()) else None

    def valid(self, token_id: str) -> Token | None:
        """The token of this id, if it opens anything now."""
        found = self._kept(token_id)
        return found if found and found.valid_at(self._utc_us()) else None

    def remembered(self, text: str) -> bool:
        """Whether `find` will answer without the disk."""
        parts = TOKEN.fullmatch(text)
        return parts is None or self._fresh(parts[1]) is not None

    def _fresh(self, token_id: str) -> tuple[int, Token | None] | None:
        kept = self._remembered.get(token_id)
        return kept if kept and self._monotonic_ns() - kept[0] < FRESH_SECONDS * 1e9 else None

    def _kept(self, token_id: str) -> Token | None:
        if kept := self._fresh(token_id):
            return kept[1]
        with self._store.transaction() as connection:
            row = connection.execute(select(tokens).where(tokens.c.token_id == token_id)).one_or_none()
        found = None if row is None else _token(row)
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[token_id] = (self._monotonic_ns(), found)
        return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: object) -> Token:
    values = {name: getattr(row, name) for name in tokens.c.keys()}  # noqa: SIM118 - columns, no dict
    return Token(**{**values, "scopes": frozenset(values["scopes"].split())})
