"""Times as text, the same wherever they are written: answers of MI, the command line, reports."""

from __future__ import annotations

import time
from functools import lru_cache

from edge.core.model import MICROSECONDS

SECONDS_REMEMBERED = 4096
"""Facts of one second stand together, and a page has thousands."""


def rfc3339(utc_us: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    utc_s, part = divmod(utc_us, MICROSECONDS)
    return f"{second(utc_s)}.{part:06d}Z"


def rfc3339_milliseconds(utc_us: int) -> str:
    """The same with milliseconds, cut and never rounded into the next."""
    return rfc3339(utc_us)[: -len("000Z")] + "Z"


@lru_cache(maxsize=SECONDS_REMEMBERED)
def second(utc_s: int) -> str:
    """A second of UTC as RFC 3339 begins."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(utc_s))
