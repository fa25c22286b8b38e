"""Callers without their numbers: a keyed hash that tells repeat callers apart, and the last three digits for a person.

The key stands in a file of its own beside the ledger, so that a copy of the ledger alone does not let anybody try numbers.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from functools import lru_cache
from pathlib import Path

KEY_BYTES = 32
ID_LENGTH = 16
REMEMBERED = 100_000
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
    """The same caller always has the same id in one ledger, however the number is written. None without key or number."""
    if not key or not number:
        return None
    return _hashed(key, number)


_NATIONAL = re.compile(r"0[1-9][0-9]{9}")
_INTERNATIONAL = re.compile(r"\+44[1-9][0-9]{9}")
_BOTH = re.compile(r"\+440([0-9]{9,10})")
"""International with the national zero left in."""


@lru_cache(maxsize=REMEMBERED)
def _hashed(key: bytes, number: str) -> str:
    return hmac.digest(key, _one_form(number).encode(errors="surrogatepass"), "sha256").hex()[:ID_LENGTH]


def _one_form(number: str) -> str:
    """E.164 where it is a number at all: a trunk writes 01632 960001 where a call-back has +441632960001."""
    if _INTERNATIONAL.fullmatch(number):
        return number
    if _NATIONAL.fullmatch(number):
        return "+44" + number[1:]
    if (both := _BOTH.fullmatch(number)) is not None:
        return "+44" + both[1]
    from edge.numbering import e164, possible  # its tables take a while to import

    found = possible(number)
    return number if found is None else e164(found)


def masked(number: str | None, withheld: bool) -> str:
    """What may be shown of a number to anybody: `…123`, `withheld`, or `unknown`."""
    if withheld:
        return "withheld"
    if not number:
        return "unknown"
    digits = "".join(mark for mark in number if mark.isascii() and mark.isdigit())
    return "…" + digits[-SHOWN_DIGITS:] if len(digits) >= SHORTEST_SHOWN else "…"
