"""Cursors: where a reader has come to, opaque to it and signed, good for as long as the ledger is.

A cursor holds the position, the ledger it belongs to, the filters it was made with, and the beginning of the hash of the last
fact that was given: what a reader goes on from is compared with what it was told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

import msgspec

VERSION = 1
MAC_BYTES = 16
LONGEST = 512
SHOWN_HASH = 16


class Cursor(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A position in a stream. `filters`: their digest, empty without any."""

    version: int = VERSION
    stream: str
    ledger_id: str
    position: int
    filters: str = ""
    hash: str = ""
    """Of the fact at the position, its beginning; empty at the beginning of the record."""


class CursorError(ValueError):
    """This text is no cursor of ours, or not of this stream; the message says what to do."""


class Cursors:
    """Makes and reads cursors."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._decoder = msgspec.msgpack.Decoder(Cursor)

    def text(self, cursor: Cursor) -> str:
        """As a reader gets it."""
        body = msgspec.msgpack.encode(cursor)
        return base64.urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, text: str, stream: str | None) -> Cursor:
        """What `text` says; of any stream with None. Raises `CursorError`."""
        if len(text) > LONGEST or not text.isascii():
            raise CursorError("it is no cursor")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise CursorError("it is no cursor, or only part of one") from error
        mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise CursorError("this service did not make it, or it was changed or cut")
        cursor = self._decoder.decode(body)
        if cursor.version != VERSION:
            raise CursorError("another version of this service made it")
        if stream not in (None, cursor.stream):
            raise CursorError(f"it belongs to {cursor.stream}, not to {stream}")
        return cursor

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:MAC_BYTES]


def digest_of(filters: Mapping[str, object]) -> str:
    """Tells one set of filters from another; empty for none. Filters that are None do not count."""
    given = {name: value for name, value in sorted(filters.items()) if value not in (None, [], ())}
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:SHOWN_HASH] if given else ""
