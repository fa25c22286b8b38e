"""How much one token or address may ask for, and how guessing is slowed. In memory: a restart forgives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 10_000
"""Addresses and tokens that are remembered at most; who has been quiet the longest is forgotten first."""
BURST_SECONDS = 10.0
"""A reader that was quiet may ask at once for as much as it may have in this time."""
FORGIVEN_SECONDS = 60.0
GUESSES_FREE = 3
"""A slip in a configuration is answered at once."""
LONGEST_DELAY_SECONDS = 5.0
DELAYED_AT_ONCE = 64
NANOSECONDS = 1e9


@dataclass(slots=True)
class _Bucket:
    level: float
    at_ns: int


class Rates:
    """Requests per minute, by name (`token ID`, `address A`)."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._now = monotonic_ns
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_seconds(self, name: str, per_minute: float) -> float:
        """0: it may go on, and has been counted. Otherwise how long to wait before asking again."""
        now, rate = self._now(), per_minute / 60
        most = max(1.0, rate * BURST_SECONDS)
        bucket = self._buckets.setdefault(name, _Bucket(most, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        bucket.level = min(most, bucket.level + (now - bucket.at_ns) / NANOSECONDS * rate)
        bucket.at_ns = now
        if bucket.level < 1.0:
            return (1.0 - bucket.level) / rate
        bucket.level -= 1.0
        return 0.0


@dataclass(slots=True)
class _Guessing:
    count: int
    at_ns: int


class Guesses:
    """Wrong tokens by address. A right token is never refused for what others at its address have tried."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._now = monotonic_ns
        self._by_address: OrderedDict[str, _Guessing] = OrderedDict()
        self.delayed = 0
        """Answers that are being held back at this moment."""

    def count(self, address: str) -> int:
        """One more wrong token from there; how many it has been without a quiet minute."""
        now = self._now()
        found = self._by_address.setdefault(address, _Guessing(0, now))
        self._by_address.move_to_end(address)
        if len(self._by_address) > KEPT:
            self._by_address.popitem(last=False)
        if (now - found.at_ns) / NANOSECONDS > FORGIVEN_SECONDS:
            found.count = 0
        found.count, found.at_ns = found.count + 1, now
        return found.count

    def delay_seconds(self, count: int) -> float:
        """How long the answer to this many guesses is held back."""
        over = max(0, count - GUESSES_FREE)
        return 0.0 if not over else min(LONGEST_DELAY_SECONDS, 0.1 * 2.0 ** min(over, 10))
