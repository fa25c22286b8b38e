"""Callers without their numbers: a keyed hash that tells repeat callers apart, and the last three digits for a person.

The key stands in a file of its own beside the ledger, so that a copy of the ledger alone does not let anybody try numbers.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

KEY_BYTES = 32
ID_LENGTH = 16
SHOWN_DIGITS = 3
SHORTEST_SHOWN = 7
"""A shorter number would be given away by its last digits."""


def key_file(ledger_url: str) -> Path | None:
    """Where the key of this ledger stands; None for a ledger that is no file."""
    scheme, _, path = ledger_url.partition(":///")
    if not scheme.startswith("sqlite") or not path or path.startswith(":"):
        return None
    return Path(path.partition("?")[0] + ".key")


def read_key(ledger_url: str) -> bytes | None:
    """The key, or None when it is not there or not for this user: callers are then shown without an id."""
    path = key_file(ledger_url)
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None


def ensure_key(ledger_url: str) -> bytes | None:
    """The key, made for the owner alone on first use. For the daemon. Raises `OSError`."""
    path = key_file(ledger_url)
    if path is None:
        return None
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(file, "wb") as opened:
        opened.write(key := secrets.token_bytes(KEY_BYTES))
    return key


def caller_id(key: bytes | None, number: str | None) -> str | None:
    """The same caller always has the same id in one ledger. None without key or number."""
    if not key or not number:
        return None
    return hmac.digest(key, number.encode(errors="surrogatepass"), "sha256").hex()[:ID_LENGTH]


def masked(number: str | None, withheld: bool) -> str:
    """What may be shown of a number to anybody: `…123`, `withheld`, or `unknown`."""
    if withheld:
        return "withheld"
    if not number:
        return "unknown"
    digits = "".join(mark for mark in number if mark.isascii() and mark.isdigit())
    return "…" + digits[-SHOWN_DIGITS:] if len(digits) >= SHORTEST_SHOWN else "…"
